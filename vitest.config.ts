import { defineConfig } from "vitest/config";

/** These need RabbitMQ, start whole gateways or processes, or take their time; everything else is for daily work. */
const withServices = [
  "{browser,callbacks,outbound,clients,queue,sandbox,flows,faults,operator,db,observe,settlement}/**/*",
  "rest/{e2e,e2e-*,inboundForms,orderEvents,overload,properties,streams}",
  "rpc/{identity,pages,server,standard}",
  "core/{audit,cancellation,keySets,lease,listPlans,orderPins,participantKeys,participantStatus,plans,platformKeys}",
  "core/{logos,orderNews,registerActs,schema,settlementPlans,settlements,signedOrders,withdrawnKeys}",
  "contract/{access,compatibility}",
].map((files) => `test/${files}.test.ts`);

export default defineConfig({
  test: {
    // Two cores are the smallest machine this is meant for; more files at once would only disturb each other's times.
    maxWorkers: 2,
    teardownTimeout: 30_000,
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: withServices,
          // These share what they have loaded, which else takes longer than they: none may leave anything behind in it.
          isolate: false,
          globalSetup: ["test/support/services.ts"],
          testTimeout: 15_000,
          hookTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "services",
          include: withServices,
          globalSetup: ["test/support/services.ts", "test/support/services-rabbitmq.ts"],
          testTimeout: 60_000,
          hookTimeout: 120_000,
          // After the fast ones: the quick answers come first, and nothing competes with the tests about time.
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
