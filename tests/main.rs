//! The promise, tested from outside: the real binary, called as wazuh-integratord calls it, a real
//! mongod, and a network that breaks. Each file below the line is one part of the promise.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails here and says why"
)]

mod analysisd;
mod background;
mod call;
mod certificates;
mod http;
mod json;
mod lossless;
mod mongod;
mod proxy;
mod scratch;
mod service;
mod wazuh;

// ---------------------------------------------------------------------------

mod agreement;
mod architecture;
mod arguments;
mod backfill;
mod breaker;
mod commands;
mod depth;
mod documents;
mod enrichment;
mod filters;
mod follow;
mod forwarder;
mod golden;
mod hostile;
mod indexes;
mod killed;
mod outages;
mod owner;
mod relay;
mod serve;
mod serve_access;
mod serve_limits;
mod serve_tls;
mod served;
mod settings;
mod spooled;
mod stores;
mod surroundings;
mod webhook;
