// The article's function in JavaScript. A team that does not use Python would write it in this way.

import { DynamoDBClient, GetItemCommand } from "@aws-sdk/client-dynamodb";

const SECOND_ORIGIN = "origin-two.example.org";
const dynamo = new DynamoDBClient({});

export async function handler(event) {
  const request = event.Records[0].cf.request;
  const cookie = (request.headers.cookie ?? []).find(({ value }) => value.includes("sessiontoken"));
  let version;
  if (cookie) {
    const Key = { token: { S: cookie.value.split("=")[1] } };
    version = (await dynamo.send(new GetItemCommand({ TableName: "SessionsTable", Key }))).Item?.version?.S;
  }
  if (version ? version === "2" : Math.random() < 0.5) request.origin.custom.domainName = SECOND_ORIGIN;
  return request;
}
