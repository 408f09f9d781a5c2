import type { RequestListener } from "node:http";

/** The origin of an absolute-form request line, and repeated slashes. */
const beforePath = /^(?:https?:\/\/[^/?#]*)?\/+/i;

/**
 * Path and query of a request. A base that ends with a slash, joined with a path that begins with one, gives two slashes, which
 * mean one. A client that takes us for a proxy sends the whole URL, and means the same.
 */
export const pathOf = (url: string) => url.replace(beforePath, "/");

/** Normalises the URL before anything looks at the path. */
export function takingPathsAlone(next: RequestListener): RequestListener {
  return (request, response) => {
    request.url = pathOf(request.url ?? "");
    next(request, response);
  };
}
