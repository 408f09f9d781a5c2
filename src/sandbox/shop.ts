import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type Html, html, pageHeaders, trusted } from "../html.ts";
import type { OrderForBank } from "../sdk/platform.ts";
import { paymentPageOf } from "./deepLinks.ts";
import { listenOnLoopback } from "./loopback.ts";
import type { SandboxBank, SandboxMerchant } from "./participants.ts";
import { explain } from "./payments.ts";

type Parties = { merchant: SandboxMerchant; bank: SandboxBank; platformUrl: string };
type Reply = { status: number; page: Html } | { status: 303; to: string };

const goods = { amount: 1_499.5, purpose: "«Кобзар», 2 прим." };

/**
 * A shop and the app of the payer's bank, for a browser on this machine: who buys here is sent to the platform's payment page, pays
 * in the app that its link opens, and is led back. `appPrefix` is where the bank's deep links lead.
 */
export async function openShop() {
  const server = createServer();
  const { url, stop } = await listenOnLoopback(server);

  return {
    url,
    stop,
    appPrefix: `${url}/pay/`,
    /** Opens the doors, once its parties have joined the platform. */
    serves(parties: Parties) {
      server.on("request", (request, response) => {
        answer(url, parties, request)
          .catch((error): Reply => ({ status: 400, page: html`<h1>This did not work</h1><p>${explain(error)}</p>` }))
          .then((reply) => send(response, reply));
      });
    },
  };
}

async function answer(url: string, { merchant, bank, platformUrl }: Parties, request: IncomingMessage): Promise<Reply> {
  const { method, url: path = "/" } = request;
  // Pages of strangers must not buy and pay here; browsers say where a form comes from, other programs need not.
  const from = request.headers["sec-fetch-site"] ?? "same-origin";
  if (method === "POST" && from !== "same-origin") return { status: 403, page: html`<h1>This form is not ours</h1>` };
  if (path === "/" && method === "GET") return { status: 200, page: counter(merchant) };
  if (path === "/buy" && method === "POST") {
    const order = await merchant.order({ ...goods, url: `${url}/thanks` });
    return { status: 303, to: order.link_qr };
  }
  if (path === "/thanks") return { status: 200, page: thanks };
  if (!path.startsWith("/pay/")) return notFound;
  const order = await bank.opens(`${url}${path}`);
  if (method !== "POST") return { status: 200, page: app(bank, await bank.reads(order)) };
  await bank.pays(order);
  return { status: 303, to: paymentPageOf(platformUrl, order) };
}

const notFound: Reply = { status: 404, page: html`<h1>There is nothing here</h1>` };

const counter = (merchant: SandboxMerchant) => html`<h1>${merchant.name}</h1>
<p>${goods.purpose}</p><p>${goods.amount.toFixed(2)} UAH</p>
<form method="post" action="/buy"><button>Buy</button></form>`;

const thanks = html`<h1>Thank you for your order</h1>
<p>That you came back proves nothing: the shop sends the goods when the callback Pay-in has told it of the payment.</p>`;

const app = (bank: SandboxBank, order: OrderForBank) => html`<h1>${bank.name}</h1>
<p>To ${order.recn}, code ${order.recc}</p><p>${order.prp}</p><p>${order.amt.toFixed(2)} ${order.cur}</p>
<form method="post"><button>Confirm</button></form>`;

const style = `body{font:1.125rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem;color:#16211f;background:#fff}
p{overflow-wrap:anywhere;unicode-bidi:isolate}button{font:inherit;padding:.75rem 2rem}
@media(prefers-color-scheme:dark){body{color:#e6eceb;background:#101615}}`;

function send(response: ServerResponse, reply: Reply): void {
  if ("to" in reply) return void response.writeHead(reply.status, { Location: reply.to }).end();
  // A browser asks the policy also where the answer to a form leads on: to the platform, wherever that says it is.
  const headers = pageHeaders({ style, formsTo: ["'self'", "http:", "https:"] });
  const page = html`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sandbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>${trusted(style)}</style></head><body><main>${reply.page}</main></body></html>`;
  response.writeHead(reply.status, {
    ...headers,
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(page.markup);
}
