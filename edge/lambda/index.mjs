// Lambda@Edge calls this module. It gives each event to the router and returns the router's answer.
// This module must not throw, because CloudFront would then answer the viewer with an error.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const ROUTE = "x-stickshift-route";

let router, names;
try {
  const { Router } = createRequire(import.meta.url)("./stickshift-edge.node");
  router = new Router(readFileSync(new URL("config.json", import.meta.url), "utf8"), process.env.AWS_REGION);
  names = router.headers;
  // Make the first read now, because Lambda gives the start a whole core. A later first read would
  // only have the function's share of a core.
  router.warm();
} catch (cause) {
  console.error(`stickshift: could not start the router: ${line(cause)}`);
}

export async function handler(event) {
  const request = event?.Records?.[0]?.cf?.request;
  try {
    if (!router) throw new Error("the router did not start: an earlier log line gives the cause");
    if (!request) throw new Error("not an event: it has no request");
    const changes = JSON.parse(router.route(JSON.stringify(read(request))));
    if (changes.response) return changes.response;
    setHeaders(request, changes.headers);
    if (changes.origin) request.origin = changes.origin;
  } catch (cause) {
    console.error(`stickshift: could not route, so the request goes to the default origin: ${line(cause)}`);
    // The app must learn that the router has failed.
    if (request?.headers) setHeaders(request, { [ROUTE]: [{ key: ROUTE, value: "fallback" }] });
  }
  return request;
}

// The part of a request that the router reads.
function read({ method, uri, querystring, headers: all = {}, origin }) {
  const headers = {};
  for (const name of names) if (all[name]) headers[name] = all[name];
  return { method, uri, querystring, headers, origin };
}

// Sets headers, and removes what a viewer wrote into headers that only the router may send to the app.
function setHeaders(request, headers) {
  for (const name of Object.keys(request.headers ?? {})) {
    if (name.startsWith("x-stickshift-")) delete request.headers[name];
  }
  request.headers = Object.assign(request.headers ?? {}, headers);
}

// CloudWatch makes a log event from every line, so a message must be one line.
function line(cause) {
  return String(cause?.message ?? cause).split("\n", 1)[0];
}
