// An app on Express: it tells what Express made of a request.
import express from "express";

const [port, version] = process.argv.slice(2);
const app = express();
app.set("trust proxy", true);
app.get("/", (request, response) => {
  response.cookie("visits", "1", { httpOnly: true });
  response.type("html").send(`<!DOCTYPE html><title>Shop</title><h1>Version ${version}</h1>`);
});
app.post("/echo", express.json({ limit: "5mb" }), (request, response) => {
  const { body, headers, ip, protocol } = request;
  response.json({ body, headers, ip, protocol });
});
app.get("/parts", async (request, response) => {
  for (let part = 0; part < 5; part += 1) {
    response.write(`part ${part}\n`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  response.end();
});
app.listen(Number(port), "127.0.0.1");
