import { createRegistry, type DescFile, type DescService, type Registry, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { ServerReflectionRequest } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import type { ServerReflectionRequest as OldRequest } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";

type Request = ServerReflectionRequest | OldRequest;

/**
 * The standard gRPC reflection service over these services, by which tools read the contract. Its versions v1 and v1alpha have the
 * same messages under two names, so these handlers serve both.
 */
export function reflectionHandlers(services: readonly DescService[]) {
  const files = withImports(services.map(({ file }) => file));
  const registry = createRegistry(...files.values());
  const answerTo = ({ messageRequest: asked }: Request) => {
    switch (asked.case) {
      case "listServices":
        return {
          case: "listServicesResponse",
          value: { service: services.map(({ typeName }) => ({ name: typeName })) },
        } as const;
      case "fileByFilename":
        return filesAnswer(files.get(asked.value));
      case "fileContainingSymbol":
        return filesAnswer(fileOf(registry, asked.value));
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = asked.value;
        return filesAnswer(
          extensionsOf(registry, containingType).find(({ number }) => number === extensionNumber)?.file,
        );
      }
      case "allExtensionNumbersOfType": {
        const extensionNumber = extensionsOf(registry, asked.value).map(({ number }) => number);
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName: asked.value, extensionNumber },
        } as const;
      }
      default:
        return errorAnswer(Code.InvalidArgument, "nothing is asked for");
    }
  };
  return {
    async *serverReflectionInfo<Asked extends Request>(requests: AsyncIterable<Asked>) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answerTo(request) };
      }
    },
  };
}

/** These files and all that they import, by name. */
function withImports(files: readonly DescFile[], found = new Map<string, DescFile>()): Map<string, DescFile> {
  for (const file of files) {
    const { name } = file.proto;
    if (found.has(name)) continue;
    found.set(name, file);
    withImports(file.dependencies, found);
  }
  return found;
}

/** A symbol may be a type, or what a type contains: a method, a field. */
function fileOf(registry: Registry, symbol: string): DescFile | undefined {
  const found = registry.get(symbol) ?? registry.get(symbol.slice(0, Math.max(0, symbol.lastIndexOf("."))));
  return found?.file;
}

const extensionsOf = (registry: Registry, typeName: string) =>
  [...registry].filter((type) => type.kind === "extension").filter(({ extendee }) => extendee.typeName === typeName);

function filesAnswer(file: DescFile | undefined) {
  if (file === undefined) return errorAnswer(Code.NotFound, "there is no such file or symbol");
  const fileDescriptorProto = [...withImports([file]).values()].map(({ proto }) =>
    toBinary(FileDescriptorProtoSchema, proto),
  );
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } } as const;
}

const errorAnswer = (errorCode: Code, errorMessage: string) =>
  ({ case: "errorResponse", value: { errorCode, errorMessage } }) as const;
