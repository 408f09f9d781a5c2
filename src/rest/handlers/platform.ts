import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Handlers, Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { answerCache, cachedAnswer } from "../../answerCache.ts";
import type { OpenapiPaths, RequestContext } from "../context.ts";
import { docsPage, docsPageHeaders, type OpenapiPage } from "../pages/docsPage.ts";
import { rpcOptions } from "../rpcOptions.ts";

type Schemas = components["schemas"];

type PlatformHandlers = Pick<
  Handlers<RequestContext>,
  "getJwks" | "getLogo" | "getOpenapiYaml" | "getOpenapiJson" | "getDocs" | "getHealth" | "getReadiness" | "getMetrics"
>;

/** A logo has some kilobytes; those of all banks and of the merchants of an hour stay in memory. */
const keptLogos = 1_000;
const logosForMs = 60 * 60_000;

const healthy: Whole<Schemas["Health"]> = { status: "ok" };

/**
 * The document is read and rendered once, because it cannot change while the program runs. Its JSON is generated beforehand:
 * parsing the YAML takes a second.
 */
export function platformHandlers(paths: OpenapiPaths): PlatformHandlers {
  const yaml = readFileSync(paths.yaml, "utf8");
  const document = JSON.parse(readFileSync(paths.json, "utf8")) as OpenapiPage & Record<string, unknown>;
  const page = docsPage(document);
  const headers = {
    yaml: revalidated(yaml),
    json: revalidated(JSON.stringify(document)),
    page: { ...docsPageHeaders, ...revalidated(page) },
  };
  const logos = answerCache<Uint8Array>(logosForMs, keptLogos);
  return {
    async getJwks(_input, { deps }) {
      const { jwks, maxAgeSeconds } = await deps.clients.platform.listSigningKeys({}, rpcOptions);
      const headers = { "Cache-Control": `public, max-age=${maxAgeSeconds}` };
      const body: Whole<Schemas["JwkSet"]> = { keys: jwks.map((jwk) => JSON.parse(jwk)) };
      return { status: 200, type: "application/json", headers, body };
    },
    async getLogo({ path }, { deps }) {
      const body = await cachedAnswer(logos, path.sha256, async () => {
        return (await deps.clients.participants.getLogo({ sha256: path.sha256 }, rpcOptions)).png;
      });
      const headers = { "Cache-Control": "public, max-age=31536000, immutable" } as const;
      return { status: 200, type: "image/png", headers, body };
    },
    getOpenapiYaml: async () => ({ status: 200, type: "application/yaml", headers: headers.yaml, body: yaml }),
    getOpenapiJson: async () => ({ status: 200, type: "application/json", headers: headers.json, body: document }),
    getDocs: async () => ({ status: 200, type: "text/html", headers: headers.page, body: page }),
    getHealth: async () => ({ status: 200, type: "application/json", body: healthy }),

    async getReadiness(_input, { deps }) {
      const needed = await deps.readiness();
      const isReady = needed.every((dependency) => dependency.ok);
      const body: Whole<Schemas["Readiness"]> = {
        status: isReady ? "ready" : "not_ready",
        dependencies: needed.map(({ dependency, ok, problem }) => ({ dependency, ok, problem })),
      };
      return isReady
        ? { status: 200, type: "application/json", body }
        : { status: 503, type: "application/json", body };
    },

    async getMetrics(_input, { deps }) {
      return { status: 200, type: "text/plain", body: (await deps.metricsText?.()) ?? "" };
    },
  };
}

/** May be cached, but is revalidated before each use: the document changes with each release and at no other time. */
const revalidated = (text: string) => ({
  ETag: `"${createHash("sha256").update(text).digest("base64url")}"`,
  "Cache-Control": "no-cache" as const,
});
