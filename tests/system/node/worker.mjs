// A TypeScript SDK worker that knows the functions of our worker image by name.
import { Resonate } from "@resonatehq/sdk";

const [group] = process.argv.slice(2);
const resonate = new Resonate({ group, ttl: 3000 });

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
console.error(JSON.stringify({ action: "ready" }));
