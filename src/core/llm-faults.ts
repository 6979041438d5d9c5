// What goes wrong on routes to providers of language models: rows of the one table (faults.ts).
import type { FaultSpec } from "./fault-spec.ts";

export const LLM_FAULTS = {
  "llm.request": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_error",
    title: "The request is not one to a language model.",
  },
  "llm.path": {
    status: 404,
    side: "client",
    retry: "never",
    proxyStatus: "destination_not_found",
    title: "This part of the interface of language models is not there.",
  },
  "llm.model": {
    status: 404,
    side: "client",
    retry: "never",
    proxyStatus: "destination_not_found",
    title: "The model is not there.",
  },
  "llm.prompt": {
    status: 400,
    side: "client",
    retry: "never",
    proxyStatus: "http_request_denied",
    title: "The prompt is not allowed.",
  },
  "llm.provider": {
    status: 502,
    side: "upstream",
    retry: "never",
    proxyStatus: "http_protocol_error",
    title: "The provider of the language model gave no answer that can be used.",
  },
} as const satisfies Record<string, FaultSpec>;
