// Lambda@Edge calls this module. It gives each event to the router and returns the router's answer.
// This module must not throw, because CloudFront would then answer the viewer with an error.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

let router;
try {
  const { Router } = createRequire(import.meta.url)("./stickshift-edge.node");
  router = new Router(readFileSync(new URL("config.json", import.meta.url), "utf8"), process.env.AWS_REGION);
  // Make the first read now, because Lambda gives the start a whole core. A later first read would
  // only have the function's share of a core.
  await router.warm();
} catch (cause) {
  console.error(`stickshift: could not start the router: ${line(cause)}`);
}

export async function handler(event) {
  try {
    if (!router) throw new Error("the router did not start: an earlier log line gives the cause");
    return JSON.parse(await router.route(JSON.stringify(event)));
  } catch (cause) {
    console.error(`stickshift: could not route, so the request goes to the default origin: ${line(cause)}`);
    return untouched(event);
  }
}

// CloudWatch makes a log event from every line, so a message must be one line.
function line(cause) {
  return String(cause?.message ?? cause).split("\n", 1)[0];
}

// Returns the request as it came, without the headers that only the router may send to the app. It
// tells the app that the router has failed.
function untouched(event) {
  const request = event?.Records?.[0]?.cf?.request;
  for (const name of Object.keys(request?.headers ?? {})) {
    if (name.startsWith("x-stickshift-")) delete request.headers[name];
  }
  if (request?.headers) request.headers["x-stickshift-route"] = [{ key: "x-stickshift-route", value: "fallback" }];
  return request;
}
