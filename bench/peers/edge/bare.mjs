// A function that does nothing: what Node itself costs.

export async function handler(event) {
  return event.Records[0].cf.request;
}
