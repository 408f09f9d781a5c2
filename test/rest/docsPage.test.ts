import { expect, test } from "vitest";
import { html, pageHeaders, trusted } from "../../src/html.ts";
import { docsPage, type OpenapiPage } from "../../src/rest/pages/docsPage.ts";

const contract: OpenapiPage = {
  info: { title: "A <platform>", version: "1.2.3", description: "First.\n\nSecond with `code` and **weight**." },
  paths: {
    "/order": {
      post: {
        operationId: "createOrder",
        summary: "Create",
        deprecated: true,
        description: "Makes an order.",
        parameters: [{ $ref: "#/components/parameters/Id" }, { name: "limit", in: "query", description: "How many." }],
        requestBody: { description: "A token." },
        responses: { "201": { description: "Made." }, "400": { $ref: "#/components/responses/Refused" } },
      },
      get: { operationId: "readOrder" },
    },
  },
  webhooks: { payIn: { post: { operationId: "payIn", summary: "Pay-in" } } },
  components: {
    parameters: { Id: { name: "id", in: "path", required: true, description: "Its name." } as never },
    responses: { Refused: { description: "Refused." } },
    schemas: {
      Order: {
        description: "An order.",
        required: ["amt"],
        properties: { amt: { description: "How much." }, ref: { $ref: "#/components/schemas/Ref" } },
      },
      Ref: { description: "A number." },
    },
  },
};

test("docsPage: the whole contract on one page, whatever stands in it shown as text", () => {
  const text = docsPage(contract);
  // What stands before it is the same for every page.
  expect(text.slice(text.indexOf("<main>"))).toMatchInlineSnapshot(`
    "<main><h1>A &lt;platform&gt; 1.2.3</h1>
    <p>First.</p>
    <p>Second with <code>code</code> and <strong>weight</strong>.</p>

    <p>For tools: <a href="/openapi.yaml">openapi.yaml</a>, <a href="/openapi.json">openapi.json</a>.</p>
    <h2>Operations</h2>
    <section id="createOrder"><h3>Create</h3>
    <p><code>POST /order</code> (deprecated)</p>
    <p>Makes an order.</p>

    <table><thead><tr><th>Parameter</th><th>Where</th><th>Meaning</th></tr></thead><tbody><tr><td>id</td><td>path, required</td><td>Its name.</td></tr><tr><td>limit</td><td>query</td><td>How many.</td></tr></tbody></table>
    <p><strong>Body.</strong> A token.</p>

    <table><thead><tr><th>Status</th><th>Meaning</th></tr></thead><tbody><tr><td>201</td><td>Made.</td></tr><tr><td>400</td><td>Refused.</td></tr></tbody></table>
    </section>
    <section id="readOrder"><h3>readOrder</h3>
    <p><code>GET /order</code></p>




    </section>

    <h2>Callbacks</h2>
    <section id="payIn"><h3>Pay-in</h3>
    <p><code>POST payIn</code></p>




    </section>

    <h2>Schemas</h2>
    <section id="schema-Order"><h3><code>Order</code></h3>
    <p>An order.</p>

    <table><thead><tr><th>Field</th><th></th><th>Meaning</th></tr></thead><tbody><tr><td>amt</td><td>required</td><td>How much.</td></tr><tr><td>ref</td><td></td><td>A number.</td></tr></tbody></table>
    </section>
    <section id="schema-Ref"><h3><code>Ref</code></h3>
    <p>A number.</p>


    </section>
    </main></body>
    </html>"
  `);
});

test("docsPage: a schema shows the fields of those that it is made of before its own, and a reference to nothing is no error", () => {
  const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
  const schemas = {
    Whole: { allOf: [ref("Part"), ref("Nobody")], properties: { own: { description: "Its own." } } },
    Part: { required: ["theirs"], properties: { theirs: { description: "Theirs." }, bare: ref("Nobody") } },
  };
  const text = docsPage({
    ...contract,
    info: { title: "T", version: "1" },
    paths: {},
    webhooks: {},
    components: { schemas },
  });
  const rows = [...text.matchAll(/<tr>(<td>.*?)<\/tr>/g)].map(([, cells]) => cells?.replaceAll(/<\/?td>/g, "|"));
  const parts = ["|theirs||required||Theirs.|", "|bare|||||"];
  expect(rows).toEqual([...parts, "|own||||Its own.|", ...parts]);
  expect(text).toContain("<h1>T 1</h1>\n\n<p>For tools");
  const { webhooks: _none, ...quiet } = contract;
  expect(docsPage({ ...quiet, components: {} })).toMatch(/<h2>Callbacks<\/h2>\n\n<h2>Schemas<\/h2>\n<\/main>/);
});

test("html: what is put into a page is text, unless it was made as markup; what is not there is nothing", () => {
  const stranger = `<b a="1" c='2'>&`;
  expect(html`<p>${stranger}</p>`.markup).toBe("<p>&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;</p>");
  expect(html`${html`<b>${1}</b>`}${trusted("<i>")}${["<", html`<u>`]}${undefined}${false}`.markup).toBe(
    "<b>1</b><i>&lt;<u>",
  );
  // Only what the tag made is markup, not what looks like it.
  expect(html`${{ markup: "<b>" } as never}`.markup).toBe("[object Object]");
});

test("pageHeaders: a page without a script may run none and connect to nobody", () => {
  const { "Content-Security-Policy": policy } = pageHeaders({ style: "a {}" });
  expect(policy).toMatch(/^default-src 'none'; img-src 'self' data:; style-src 'sha256-\S+'; base-uri 'none'; /);
});
