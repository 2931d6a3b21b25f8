// Takes Tocsin's webhooks and checks who sent them. Start it with the secret that Tocsin showed once:
//
//     TOCSIN_WEBHOOK_SECRET=whsec_… PORT=9000 node receiver.mjs

import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const KEY = Buffer.from((process.env.TOCSIN_WEBHOOK_SECRET ?? "").replace(/^whsec_/, ""), "base64");
if (KEY.length < 24) throw new Error("TOCSIN_WEBHOOK_SECRET is not whsec_ and the base64 of 24 bytes or more");
const TOLERANCE_S = 300;
const MOST_BYTES = 1_000_000;

// Whether the body, as it came, was signed with our secret within the last five minutes.
function verified(id, at, signatures, body) {
  if (!/^[0-9]{1,12}$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > TOLERANCE_S) return false;
  const digest = createHmac("sha256", KEY).update(`${id}.${at}.`).update(body).digest("base64");
  const right = Buffer.from("v1," + digest);
  // Several, with spaces between, while the secret is being rotated. Compared in a time that tells nothing.
  return signatures.split(" ").some((one) => {
    const given = Buffer.from(one);
    return given.length === right.length && timingSafeEqual(given, right);
  });
}

const server = createServer(async (request, response) => {
  const parts = [];
  let size = 0;
  try {
    for await (const part of request) {
      size += part.length;
      if (size > MOST_BYTES) return request.destroy();
      parts.push(part);
    }
  } catch {
    return; // the sender went away
  }
  const body = Buffer.concat(parts);
  const [id, at, signatures] = ["id", "timestamp", "signature"].map((name) => request.headers[`webhook-${name}`] ?? "");
  const known = verified(id, at, signatures, body);
  response.writeHead(known ? 204 : 401).end(); // answer first; work that takes time comes afterwards
  // The id is the same in every attempt: what was done for it need not be done again.
  if (known) console.log("verified", JSON.stringify(id), body.length, "bytes");
});

server.listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
