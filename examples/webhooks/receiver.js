// Receives webhooks of wxqr, and prints their events. README.md beside this file tells more.
//
//     npm install standardwebhooks
//     WEBHOOK_SECRET=whsec_... node receiver.js [PORT]

const { createServer } = require("node:http");
const { Webhook } = require("standardwebhooks");

const webhook = new Webhook(process.env.WEBHOOK_SECRET);

// The largest body that is read, in bytes. Those of the service are far smaller.
const MAX_BODY = 1024 * 1024;

// The id of the last request. A real receiver keeps it with the events.
let lastId;

// Takes the events of a request, unless it came before: a lost answer brings it again.
function take(id, events) {
  if (id !== lastId) {
    for (const event of events) {
      console.log(JSON.stringify(event));
    }
    lastId = id;
  }
}

// The body as it came: the signature covers its bytes. One that is too large ends the connection.
async function bodyOf(request) {
  const pieces = [];
  let size = 0;
  for await (const piece of request) {
    size += piece.length;
    if (size > MAX_BODY) {
      throw new Error(`a body of more than ${MAX_BODY} bytes`);
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString();
}

// Takes a request, and returns the status of the answer.
async function receive(request) {
  const body = await bodyOf(request);
  let message;
  try {
    message = webhook.verify(body, request.headers);
  } catch {
    return 401;
  }
  take(request.headers["webhook-id"], message.data.events);
  return 204;
}

// A request that fails, such as one that breaks off, must not end the program.
async function answer(request, response) {
  let status = 500;
  try {
    status = await receive(request);
  } catch (error) {
    console.error(error);
  }
  response.writeHead(status).end();
}

createServer(answer).listen(Number(process.argv[2] ?? 8000), "127.0.0.1");
