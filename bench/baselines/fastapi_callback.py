"""The naive callback of the comparison: checks the signature, parses the event, stores nothing.

    fastapi_callback.py PORT TOKEN
"""

import sys

import uvicorn
from fastapi import FastAPI, Request, Response
from wechatpy import parse_message
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

TOKEN = sys.argv[2]
app = FastAPI()


@app.post("/callback")
async def callback(request: Request, signature: str, timestamp: str, nonce: str):
    try:
        check_signature(TOKEN, signature, timestamp, nonce)
    except InvalidSignatureException:
        return Response(status_code=403)
    parse_message(await request.body())
    return Response("success", media_type="text/plain")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", access_log=False)
