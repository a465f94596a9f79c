"""The article's app, rewritten. Every view makes one update_item call.

The attribute names are those of the table. With other names, nothing would be written.
"""

import os
from datetime import datetime
from hashlib import sha1
from random import randbytes
from typing import Annotated

from boto3 import client
from fastapi import Cookie, FastAPI, Response
from fastapi.responses import HTMLResponse

BACKGROUND_COLOR = "#F0A5C1"
FONT_FAMILY = "Times New Roman, Serif"
COLOR = "#255"
VERSION_NAME = "Version 1.0"
VERSION_CODE = "1"

app = FastAPI()
dynamo = client("dynamodb", region_name=os.environ.get("AWS_REGION", "us-east-1"))


def update_session(response: Response, sessiontoken: str | None):
    if sessiontoken is None:
        sessiontoken = sha1(randbytes(128)).hexdigest()
    dynamo.update_item(
        TableName="SessionsTable",
        Key={"token": {"S": sessiontoken}},
        UpdateExpression="SET #expiration = :expiration, #version = :version",
        ExpressionAttributeNames={"#expiration": "expiration", "#version": "version"},
        ExpressionAttributeValues={
            ":expiration": {"N": str(int(datetime.now().timestamp() + 600))},
            ":version": {"S": VERSION_CODE},
        },
    )
    response.set_cookie(key="sessiontoken", value=sessiontoken)


@app.get("/", response_class=HTMLResponse)
async def root(response: Response, sessiontoken: Annotated[str | None, Cookie()] = None):
    try:
        update_session(response, sessiontoken)
    except Exception as e:
        print(e)
        response.status_code = 500
        return "<html><body><h1>ERROR 500</h1><p>We expected unexpected!</p></body></html>"
    return f"""<html>
<head>
<title>Application {VERSION_NAME}</title>
<style>
body {{ background-color: {BACKGROUND_COLOR}; color: {COLOR}; font-family: {FONT_FAMILY}; }}
</style>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8">
</head>
<body>
<h1>This is application {VERSION_NAME}</h1>
<p>You now got a cookie :)</p>
</body>
</html>"""
