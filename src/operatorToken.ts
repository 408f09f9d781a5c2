import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Core } from "./core/core.ts";
import { newSecret } from "./core/credentialSecret.ts";
import { platformActor } from "./domain/actor.ts";
import { keepSecret, readSecret } from "./secretFile.ts";

type CallersConfig = { rpcToken: string | undefined; rpcTokenFile: string | undefined };

/** The credential that the first start makes, with which the command line can make all others. */
const firstOperator = "operator";
const tenYearsMs = 10 * 365 * 86_400_000;

export const operatorTokenFile = (dataDir: string) => join(dataDir, "operator-token");

/**
 * Makes the first operator's credential, once in the life of a database, and stores its secret in a file for the command line of
 * this machine (mode 0600). The file is written first, so after a crash in between the next start makes that same secret valid. Of
 * several processes that start together one makes it. Answers the file if this was the first start.
 */
export async function ensureOperatorToken(core: Core, dataDir: string, now: Date): Promise<string | undefined> {
  if (await core.isCredentialName(firstOperator)) return undefined;
  const file = operatorTokenFile(dataDir);
  const secret = (await readToken(file)) ?? (await writeToken(file));
  await core.addCredential(
    platformActor,
    { name: firstOperator, scopes: ["operator", "reader"], expiresAt: new Date(now.getTime() + tenYearsMs) },
    secret,
  );
  if ((await core.serviceOf(secret)) !== undefined) return file;
  // Another machine was first, so the secret in this file is not valid.
  await rm(file, { force: true });
  return undefined;
}

async function writeToken(file: string): Promise<string> {
  const secret = newSecret();
  return (await keepSecret(file, `${secret}\n`)) ? secret : ((await readToken(file)) ?? secret);
}

/** The credential with which this process calls the core; undefined if none is configured. */
export async function callersToken({ rpcToken, rpcTokenFile }: CallersConfig): Promise<string | undefined> {
  if (rpcToken !== undefined || rpcTokenFile === undefined) return rpcToken;
  const secret = await readToken(rpcTokenFile);
  if (secret === undefined) throw new Error(`RPC_TOKEN_FILE ${rpcTokenFile} is missing or empty`);
  return secret;
}

/** The operator's credential; on the core's machine nothing has to be configured, because the first start left it in a file. */
export async function operatorsToken(config: CallersConfig & { dataDir: string }): Promise<string | undefined> {
  return (await callersToken(config)) ?? (await readToken(operatorTokenFile(config.dataDir)));
}

/** The certificate authority (PEM) of the core's certificate, if it is not a well-known one. */
export async function callersCa({ rpcTlsCaFile }: { rpcTlsCaFile: string | undefined }): Promise<string | undefined> {
  return rpcTlsCaFile === undefined ? undefined : await readFile(rpcTlsCaFile, "utf8");
}

/** The secret in a file, or undefined where there is none. */
export async function readToken(file: string): Promise<string | undefined> {
  return (await readSecret(file))?.trim() || undefined;
}
