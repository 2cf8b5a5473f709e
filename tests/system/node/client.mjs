// A TypeScript SDK client: calls a function of a group by name and prints what came of it.
import { Resonate } from "@resonatehq/sdk";

// The SDK asks for Node.js 22; this is all that it misses on 20.
Promise.withResolvers ??= () => {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
};

const [group, id, name, args] = process.argv.slice(2);
const resonate = new Resonate({ group: "typescript-client" });
const options = resonate.options({ target: `poll://any@${group}`, timeout: 60_000 });
try {
  const result = await resonate.rpc(id, name, ...JSON.parse(args), options);
  console.log(JSON.stringify({ result }));
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
await resonate.stop();
process.exit(0);
