//! The floor where everything meets: what the binary `vitalog` is made of, and the embedded façade.
//!
//! It owns the command line ([`command`], [`sql`]), its settings ([`config`]), and where events come
//! from when nobody sends them over the wire: files ([`import`]) and the workload generator
//! ([`simulate`]). It owns no rule about what a valid
//! event is (`vitalog-event`) and none about keeping one (`vitalog-store`).
#![forbid(unsafe_code)]

pub mod command;
pub mod config;
pub mod import;
pub mod simulate;
pub mod sql;
