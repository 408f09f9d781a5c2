import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Core } from "./core/core.ts";
import { newSecret } from "./core/credentialSecret.ts";
import { platformActor } from "./domain/actor.ts";
import { keepSecret, readSecret } from "./secretFile.ts";

type CallersConfig = { rpcToken: string | undefined; rpcTokenFile: string | undefined };

/** The credential that the first start makes, so that the command line can make all others. */
const firstOperator = "operator";
const tenYearsMs = 10 * 365 * 86_400_000;

export const operatorTokenFile = (dataDir: string) => join(dataDir, "operator-token");

/**
 * Makes the first operator's credential, once in the life of a database, and leaves its secret where the command line of
 * this machine reads it (mode 0600). The secret is written before it is good, so that a crash between leaves one that the
 * next start makes good. Of several processes that start together one makes it. Answers the file if this was the first start.
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
  // Another machine was first: what is written here opens nothing.
  await rm(file, { force: true });
  return undefined;
}

async function writeToken(file: string): Promise<string> {
  const secret = newSecret();
  return (await keepSecret(file, `${secret}\n`)) ? secret : ((await readToken(file)) ?? secret);
}

/** The credential with which this process calls the core; undefined where none is configured. */
export async function callersToken({ rpcToken, rpcTokenFile }: CallersConfig): Promise<string | undefined> {
  if (rpcToken !== undefined || rpcTokenFile === undefined) return rpcToken;
  const secret = await readToken(rpcTokenFile);
  if (secret === undefined) throw new Error(`RPC_TOKEN_FILE ${rpcTokenFile} is missing or empty`);
  return secret;
}

/** The same for an operator on the machine of the core, who need not configure anything. */
export async function operatorsToken(config: CallersConfig & { dataDir: string }): Promise<string | undefined> {
  return (await callersToken(config)) ?? (await readToken(operatorTokenFile(config.dataDir)));
}

/** The certificate that vouches for the core's, where it is not one of the well-known authorities. */
export async function callersCa({ rpcTlsCaFile }: { rpcTlsCaFile: string | undefined }): Promise<string | undefined> {
  return rpcTlsCaFile === undefined ? undefined : await readFile(rpcTlsCaFile, "utf8");
}

/** The secret in a file, or undefined where there is none. */
export async function readToken(file: string): Promise<string | undefined> {
  return (await readSecret(file))?.trim() || undefined;
}
