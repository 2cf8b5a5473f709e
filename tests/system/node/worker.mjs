// A TypeScript SDK worker that knows the functions of our worker image by name.
import { Resonate } from "@resonatehq/sdk";

const [group] = process.argv.slice(2);
// A hint that comes before the stream is open is lost, and the server sends the next a minute later.
const connected = (_, said) => {
  if (said === "adapter connected") console.error(JSON.stringify({ action: "ready" }));
};
const say = (fields, said) => console.error(JSON.stringify({ ...fields, action: said }));
const logger = { debug() {}, info: connected, warn: say, error: say };
const resonate = new Resonate({ group, ttl: 3000, logger });

resonate.register("compute_something", function* (ctx, id, cost) {
  yield* ctx.run(async () => new Promise((done) => setTimeout(done, cost * 1000)));
  return { id, cost, by: "typescript" };
});

resonate.register("compute_durably", function* (ctx, id, cost) {
  yield* ctx.sleep(cost * 1000);
  return { id, cost, by: "typescript" };
});

resonate.register("fail", function* () {
  throw new Error("as asked");
});

process.on("SIGTERM", async () => {
  await resonate.stop();
  process.exit(0);
});
