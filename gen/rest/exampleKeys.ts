// Generated from the contract by scripts/generate.ts. Do not edit.
/** The keys that sign the contract's examples. Their private halves are published, so they prove nothing. */
export const exampleKeys = {
  "platform": {
    "kty": "RSA",
    "kid": "example-platform",
    "alg": "RS256",
    "use": "sig",
    "n": "9FWZxqvf7BHxQfocqoAYJOWpDsemXcGA1pvxn7mnGWsDuYU4nHa7ES2nHQyVW-hb4zYAtb9So2xkOWiN_6sug6zWSiwxVVFKQ8Om-FJa8G_JpWZun6ZcmYvSik5CrL1-ghXr9Yilpo8lapbNR-u8n-QQ9EvPML9QhPWniNhV0MnygTXhASf3XuPu7pMmDUZExIHjo2Hi9eJmaapPoMxsn-GmiE4vYuGp2cm3H61mxg062S2FISWSGPNYZfcIXzq7y-DXqyivfWCylRYfEON_UbeREpTGKDu4j_K_3x8w4qH0iDXRQS8mOcuhOEmBb07Yaxfc24x9p7kEMSFvKyi_Yw",
    "e": "AQAB"
  },
  "initiator": {
    "kty": "RSA",
    "kid": "bank-2026-1",
    "alg": "RS256",
    "use": "sig",
    "n": "pCjj7mWXMjLwrooRtJB_dUd8VJePUcDVUGCug_5EbEnxEjxLlDb2IHBRONKl-99_2dgCL1Vz4DZb7mdP225V41ys3hWGxz8o_5mNLitVsvNnzsxIqRU0CSJEjXwYGAvmAIMRyrmvWO8CUMxT7eL2INNTWoxHAjuuplcFL5DKRuayhyFmJbMPRnCuRC61F3P_5Jv0MV7Xzdv0K0UGVw-FuRLqziFdRkimSY9ougvlNHqTA0c8osf8Dt51rbcBp-zJS32ETxFEIF41Nyfs8ZAiezl30_ICR6YtWP-mAes8xAnT-MGt9qqSU7vzRtl1CPsUrA0GEBfE6oVNAoaTlbr5Sw",
    "e": "AQAB"
  },
  "initiatorNext": {
    "kty": "EC",
    "kid": "bank-2026-2",
    "alg": "ES256",
    "use": "sig",
    "x": "4SLZQRI8nbiLpUOoxJuKypgpwm5BLzp1zLhV_AVa9Ns",
    "y": "1drqdZuyfNEQLF1Op2v0XW_Q9p19ahkF0pcreqQX96E",
    "crv": "P-256"
  },
  "recipient": {
    "kty": "RSA",
    "kid": "9A21DD62-DA56-402D-87A5-4714B113DAD4",
    "alg": "RS256",
    "use": "sig",
    "n": "ruViM21_RGTpqnRJjIy6uxk_sWWkaMLOjnJudY7zNr2kVoyh2u2nYOMnsZj8yd7K-59DxJ02kaaAja2eGcOp1bp2H1iz4mnLGolvyMcnDmWhr_FoXf59Alk2xOasy966fabKnXCB_aywjKgsbTsoA8pqSDnxy5cn4KPY_RiBj9DcqyzIm1_vz7ini36ZqnO48nPTOIGqnOuX_OvSJD_gL6JSBT7jXf9rS3ocmLByM972bFDSwzgNVKK3iJkbLgCLQJvggaaUZKFsih6lf16duz4hY4-yI9QoM7jbbizAk88DeU_GiGvVlOC_OdX1onUJFlKinl6l2Dc_2ujm1GYBBw",
    "e": "AQAB"
  },
  "merchant": {
    "kty": "RSA",
    "kid": "example-merchant",
    "alg": "RS256",
    "use": "sig",
    "n": "vtmbeCig5hTh9c-nmI5z50RTCITW2yy6gMYT2nmwpMkv9Qqlp_SCWPPvhII6z_0VF30oCmxIA1M_CijXy2G7bH3fMO6u5xo0qs-gbvxQOLnBlQkBj-9lctGJC1Mgh-GE94lLtoubcA646LxBu0FuBXjJqlbDW9mOrmg07GXYMOGIFDrvA-wyjqxfYBPe2U8tKRuAwDCCRvT4MgXho4IB4lXiF3i32BlK_SOkkWYveaKqEBJsR55Yw2vyPOse6LLHVgoun4Hzr38ZVFlJTG2VkXC-u59ikin71WQ6gowUKvRGYwSlwRftrdOLxF4L5wu0nFqRykeHymw-4jW4YkC8LQ",
    "e": "AQAB"
  }
} as const;
