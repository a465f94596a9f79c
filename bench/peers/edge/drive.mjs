// Runs a handler for each command. `Instance` in bench/edge.py describes the commands.
//
// Usage: node drive.mjs HANDLER

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { handler } = await import(pathToFileURL(process.argv[2]));
console.log("{}");
for await (const line of createInterface({ input: process.stdin })) {
  const { event, times } = JSON.parse(line);
  const events = Array.from({ length: times }, () => structuredClone(event));
  const walls = new Float64Array(times);
  let answer;
  const cpu = process.cpuUsage();
  for (let index = 0; index < times; index++) {
    const begin = performance.now();
    answer = await handler(events[index], {});
    walls[index] = (performance.now() - begin) * 1000;
  }
  const { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ answer, walls_us: [...walls], cpu_us: (user + system) / times }));
}
