"""The naive handler of the comparison: one upstream call a request, no cache, no database, no limits.

    tornado_handler.py PORT UPSTREAM
"""

import asyncio
import html
import json
import sys
import time
import urllib.parse

from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

UPSTREAM = sys.argv[2]
PICTURE = "https://mp.weixin.qq.com/cgi-bin/showqrcode?ticket="
LIFETIME_S = 7200


class AccessToken:
    """Kept until it expires. Requests that meet an expired one may each fetch a new one."""

    value = ""
    expires_at = 0.0

    @classmethod
    async def get(cls):
        if time.time() >= cls.expires_at:
            query = urllib.parse.urlencode({"grant_type": "client_credential", "appid": "wx", "secret": "s"})
            answer = await AsyncHTTPClient().fetch(f"{UPSTREAM}/cgi-bin/token?{query}")
            token = json.loads(answer.body)
            cls.value, cls.expires_at = token["access_token"], time.time() + token["expires_in"]
        return cls.value


class QrCodeHandler(RequestHandler):
    async def get(self):
        scene = {"scene_id": int(self.get_argument("scene_id"))}
        order = {"expire_seconds": LIFETIME_S, "action_name": "QR_SCENE", "action_info": {"scene": scene}}
        token = await AccessToken.get()
        answer = await AsyncHTTPClient().fetch(
            f"{UPSTREAM}/cgi-bin/qrcode/create?access_token={token}", method="POST", body=json.dumps(order)
        )
        code = json.loads(answer.body)
        if "ticket" not in code:
            self.set_status(502)
            return
        picture = PICTURE + urllib.parse.quote(code["ticket"], safe="")
        self.write(f'<img src="{html.escape(picture)}">')


async def main():
    # Its default is 10 calls at once, which would be measured instead of the handler.
    AsyncHTTPClient.configure(None, max_clients=1000)
    Application([("/qrcode", QrCodeHandler)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
