"""An app on FastAPI: a log-in, an upload, a WebSocket and an event stream. It knows nothing of Stickshift."""

import asyncio
import os

from fastapi import FastAPI, Form, Request, Response, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

VERSION = os.environ["VERSION"]
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Shop</title></head><body>
<h1 id="version">{version}</h1><p id="user">{user}</p>
<form method="post" action="/login"><input name="user" id="name"><button id="login">Log in</button></form>
<form method="post" action="/upload" enctype="multipart/form-data">
<input type="file" name="file" id="file"><button id="upload">Upload</button></form>
<script>
window.events = []; window.messages = []; window.closings = 0; window.broken = 0;
function connect() {{
  const socket = new WebSocket("ws://" + location.host + "/ws");
  socket.onmessage = (event) => window.messages.push(event.data);
  socket.onclose = () => {{ window.closings += 1; setTimeout(connect, 300); }};
  window.socket = socket;
}}
connect();
const source = new EventSource("/events");
source.onmessage = (event) => window.events.push(event.data);
source.onerror = () => {{ window.broken += 1; }};
</script></body></html>"""

app = FastAPI()


@app.get("/")
def page(request: Request):
    return HTMLResponse(PAGE.format(version=VERSION, user=request.cookies.get("user", "nobody")))


@app.post("/login")
def login(user: str = Form()):
    response = RedirectResponse("/", status_code=303)
    response.set_cookie("user", user, httponly=True)
    return response


@app.post("/upload")
async def upload(file: UploadFile):
    size = 0
    while part := await file.read(1 << 20):
        size += len(part)
    return HTMLResponse(f"<p id='size'>{size}</p><p id='version'>{VERSION}</p>")


@app.get("/events")
async def events():
    async def ticks():
        while True:
            yield f"data: {VERSION}\n\n"
            await asyncio.sleep(0.5)
    return StreamingResponse(ticks(), media_type="text/event-stream")


@app.websocket("/ws")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"{VERSION}: {await socket.receive_text()}")
    except WebSocketDisconnect:
        pass


@app.get("/seen")
def seen(request: Request):
    return Response("\n".join(f"{name}: {value}" for name, value in request.headers.items()))
