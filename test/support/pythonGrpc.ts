import { execFile, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** A Python with gRPC, and how it makes stubs. */
export type PythonGrpc = { python: string; compiler: readonly string[] };

const run = promisify(execFile);

const nothingFound =
  "The test of a Python client needs python3 with gRPC and a compiler of stubs, and has none and could not install any. Do one of " +
  "these: apt-get install protobuf-compiler-grpc python3-grpcio python3-protobuf (Debian, Ubuntu); or see to it that " +
  "`python3 -m venv` and `pip install grpcio-tools` work.";

/** Looks in a fixed order: what the machine has, an environment that was made before, Debian's packages, a new environment. */
export async function findPythonGrpc(): Promise<PythonGrpc> {
  const found =
    ofMachine() ?? ofEnvironment() ?? (installPackages() ? ofMachine() : undefined) ?? (await newEnvironment());
  if (found === undefined) throw new Error(nothingFound);
  return found;
}

/** Makes the stubs of these files. */
export async function makeStubs({ compiler }: PythonGrpc, target: string, includes: string[], files: string[]) {
  const [command = "", ...args] = compiler;
  const paths = includes.flatMap((path) => ["-I", path]);
  await mkdir(target, { recursive: true });
  await run(command, [...args, ...paths, `--python_out=${target}`, `--grpc_python_out=${target}`, ...files]);
}

const succeeds = (command: string, ...args: string[]) => spawnSync(command, args, { stdio: "ignore" }).status === 0;

/** Debian's Python has its packages even where another one comes first in PATH. */
function ofMachine(): PythonGrpc | undefined {
  for (const python of ["/usr/bin/python3", "python3"]) {
    if (succeeds(python, "-c", "import grpc, grpc_tools.protoc, google.protobuf.runtime_version")) {
      return { python, compiler: [python, "-m", "grpc_tools.protoc"] };
    }
    const plugin = "/usr/bin/grpc_python_plugin";
    if (
      existsSync(plugin) &&
      succeeds("protoc", "--version") &&
      succeeds(python, "-c", "import grpc, google.protobuf")
    ) {
      return { python, compiler: ["protoc", `--plugin=protoc-gen-grpc_python=${plugin}`] };
    }
  }
  return undefined;
}

/** Outside of the repository, so that it outlives a clone. */
const environment = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "dcm-gateway", "python-grpc");

function ofEnvironment(): PythonGrpc | undefined {
  const python = join(environment, "bin", "python");
  return existsSync(python) && succeeds(python, "-c", "import grpc, grpc_tools.protoc")
    ? { python, compiler: [python, "-m", "grpc_tools.protoc"] }
    : undefined;
}

/** Made beside its place and put there whole, so that nobody finds half of one. */
async function newEnvironment(): Promise<PythonGrpc | undefined> {
  const unfinished = `${environment}-${process.pid}`;
  process.stderr.write(`Installing grpcio-tools for the test of a Python client into ${environment} …\n`);
  try {
    await run("python3", ["-m", "venv", "--copies", unfinished]);
    const pip = ["-m", "pip", "install", "--quiet", "--retries", "1", "grpcio-tools>=1.60"];
    await run(join(unfinished, "bin", "python"), pip, { timeout: 120_000 });
    await rm(environment, { recursive: true, force: true });
    await rename(unfinished, environment);
  } catch (error) {
    process.stderr.write(`It could not be installed: ${(error as Error).message}\n`);
    await rm(unfinished, { recursive: true, force: true });
  }
  return ofEnvironment();
}

/** True when apt-get installed them, where we may. */
function installPackages(): boolean {
  const prefix = process.getuid?.() === 0 ? [] : ["sudo", "--non-interactive"];
  if (!succeeds("apt-get", "--version") || (prefix.length > 0 && !succeeds("sudo", "--non-interactive", "true"))) {
    return false;
  }
  const packages = ["protobuf-compiler", "protobuf-compiler-grpc", "python3-grpcio", "python3-protobuf"];
  process.stderr.write(`Installing ${packages.join(", ")} for the test of a Python client with apt-get …\n`);
  const aptGet = (...args: string[]) => {
    const command = [...prefix, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", ...args];
    return succeeds(command[0] ?? "", ...command.slice(1));
  };
  return aptGet("update") && aptGet("install", "--yes", "--no-install-recommends", ...packages);
}
