// A function that does nothing. It shows how much time Node itself takes.

export async function handler(event) {
  return event.Records[0].cf.request;
}
