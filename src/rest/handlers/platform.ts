import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import type { Handlers } from "../../../gen/rest/operations.ts";
import { type RequestContext, rpcOptions } from "../context.ts";
import { docsPage, type OpenapiPage } from "../pages/docsPage.ts";

type PlatformHandlers = Pick<
  Handlers<RequestContext>,
  "getJwks" | "getOpenapiYaml" | "getOpenapiJson" | "getDocs" | "getHealth" | "getReadiness" | "getMetrics"
>;

/** The document is read and rendered once: it cannot change while the program runs. */
export function platformHandlers(openapiPath: string): PlatformHandlers {
  const yaml = readFileSync(openapiPath, "utf8");
  const document = parse(yaml) as OpenapiPage & Record<string, unknown>;
  const page = docsPage(document);
  const headers = { yaml: revalidated(yaml), json: revalidated(JSON.stringify(document)), page: revalidated(page) };
  return {
    async getJwks(_input, { deps }) {
      const { jwks, maxAgeSeconds } = await deps.clients.platform.listSigningKeys({}, rpcOptions);
      const headers = { "Cache-Control": `public, max-age=${maxAgeSeconds}` };
      return { status: 200, type: "application/json", headers, body: { keys: jwks.map((jwk) => JSON.parse(jwk)) } };
    },
    getOpenapiYaml: async () => ({ status: 200, type: "application/yaml", headers: headers.yaml, body: yaml }),
    getOpenapiJson: async () => ({ status: 200, type: "application/json", headers: headers.json, body: document }),
    getDocs: async () => ({ status: 200, type: "text/html", headers: headers.page, body: page }),
    getHealth: async () => ({ status: 200, type: "application/json", body: { status: "ok" } }),

    async getReadiness(_input, { deps }) {
      const dependencies = await deps.readiness();
      const isReady = dependencies.every((dependency) => dependency.ok);
      return isReady
        ? { status: 200, type: "application/json", body: { status: "ready", dependencies } }
        : { status: 503, type: "application/json", body: { status: "not_ready", dependencies } };
    },

    async getMetrics(_input, { deps }) {
      return { status: 200, type: "text/plain", body: (await deps.metricsText?.()) ?? "" };
    },
  };
}

/** A copy may be kept, and is asked about before each use: the document changes with the program and at no other time. */
const revalidated = (text: string) => ({
  ETag: `"${createHash("sha256").update(text).digest("base64url")}"`,
  "Cache-Control": "no-cache" as const,
});
