// What Lambda@Edge calls. Hands every event to the router and its answer back. Nothing may be thrown from here: CloudFront
// would answer the viewer with an error.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

let router;
try {
  const { Router } = createRequire(import.meta.url)("./stickshift-edge.node");
  router = new Router(readFileSync(new URL("config.json", import.meta.url), "utf8"), process.env.AWS_REGION);
  // Here Lambda gives a whole core; a later first read would have to do with the function's share.
  await router.warm();
} catch (cause) {
  console.error(`stickshift: could not start the router: ${line(cause)}`);
}

export async function handler(event) {
  try {
    if (!router) throw new Error("there is no router, see the log of its start");
    return JSON.parse(await router.route(JSON.stringify(event)));
  } catch (cause) {
    console.error(`stickshift: could not route, so the request goes to the default origin: ${line(cause)}`);
    return untouched(event);
  }
}

// CloudWatch makes an event of every line: one has to say it.
function line(cause) {
  return String(cause?.message ?? cause).split("\n", 1)[0];
}

// The request as it came, but for what only the router may say to the app.
function untouched(event) {
  const request = event?.Records?.[0]?.cf?.request;
  delete request?.headers?.["x-stickshift-version"];
  delete request?.headers?.["x-stickshift-route"];
  return request;
}
