//! The promise, tested from outside: the real binary, called as wazuh-integratord calls it, a real
//! mongod, and a network that breaks. Each file below the line is one part of the promise.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails here and says why"
)]

mod analysisd;
mod api_data;
mod background;
mod call;
mod certificate;
mod clock;
mod http;
mod json;
mod lossless;
mod manager_root;
mod mongod;
mod proxy;
mod python_service;
mod scratch;
mod service;
mod terminal;
mod tls;
mod wazuh;

#[path = "../packaging/wazuh-api.rs"]
#[expect(
    dead_code,
    reason = "a program of its own, of which each user takes a part"
)]
mod fake;

// ---------------------------------------------------------------------------

mod agreement;
mod api_document;
mod api_index;
mod api_inventory;
mod api_lists;
mod api_pages;
mod api_python;
mod api_sites;
mod api_stream;
mod api_wazuh_5;
mod architecture;
mod arguments;
mod backfill;
mod breaker;
mod check;
mod collect;
mod commands;
mod concerns;
mod depth;
mod documents;
mod enrichment;
mod erase;
mod explained;
mod filters;
mod follow;
mod forwarder;
mod golden;
mod hostile;
mod indexes;
mod install;
mod killed;
mod migrate;
mod outages;
mod owner;
mod packages;
mod relay;
mod restored;
mod serve;
mod serve_access;
mod serve_limits;
mod serve_refusals;
mod serve_tls;
mod serve_tokens;
mod served;
mod settings;
mod spooled;
mod stand_in;
mod started;
mod status;
mod stores;
mod surroundings;
mod trouble;
mod trust;
mod watch;
mod watch_agents;
mod wazuh_api;
mod webhook;
mod webhook_trouble;
