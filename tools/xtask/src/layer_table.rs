//! The floors of the house as a table: who may import whom.
//!
//! The same picture stands in docs/architecture.md. A crate is added here, with its arrows, before
//! it is added to the workspace.

/// One crate of the workspace and what it may import.
pub struct Layer {
    /// The package.
    pub name: &'static str,
    /// The packages of this workspace it may depend on.
    pub allowed: &'static [&'static str],
    /// Crates from outside it must not depend on; a name that ends in `*` means its whole family.
    pub forbidden: &'static [&'static str],
    /// Like `forbidden`, but its tests may use them.
    pub forbidden_but_in_tests: &'static [&'static str],
    /// Whether it may hold unsafe code.
    pub may_be_unsafe: bool,
}

const fn layer(name: &'static str, allowed: &'static [&'static str]) -> Layer {
    Layer {
        name,
        allowed,
        forbidden: &[],
        forbidden_but_in_tests: &[],
        may_be_unsafe: false,
    }
}

/// The lower floors are synchronous and build in seconds because of what they do not know.
const HEAVY: &[&str] = &["datafusion*", "tokio*"];

/// What the tests of any crate may use: they make stores in directories of their own, and share
/// one set of features.
pub const ALLOWED_IN_TESTS: &[&str] = &["vitalog-disk", "vitalog-features"];

/// Every package of the workspace, from the ground up.
pub const LAYERS: &[Layer] = &[
    Layer {
        forbidden: HEAVY,
        ..layer("vitalog-measure", &[])
    },
    Layer {
        forbidden: HEAVY,
        ..layer("vitalog-event", &[])
    },
    layer("vitalog-wire", &[]),
    Layer {
        forbidden: HEAVY,
        may_be_unsafe: true,
        ..layer("vitalog-disk", &[])
    },
    Layer {
        forbidden: HEAVY,
        ..layer("vitalog-store", &["vitalog-disk", "vitalog-event"])
    },
    Layer {
        // The registry needs the traits of functions, datafusion-expr, not the engine.
        forbidden_but_in_tests: &["datafusion"],
        ..layer("vitalog-functions", &["vitalog-measure"])
    },
    layer(
        "vitalog-query",
        &[
            "vitalog-functions",
            "vitalog-measure",
            "vitalog-store",
            "vitalog-event",
        ],
    ),
    layer(
        "vitalog-server",
        &[
            "vitalog-query",
            "vitalog-store",
            "vitalog-event",
            "vitalog-wire",
        ],
    ),
    layer("vitalog", EVERY_FLOOR),
    layer("vitalog-tests", EVERYTHING),
    layer("vitalog-benches", EVERYTHING),
    layer("vitalog-features", &[]),
    layer("xtask", &[]),
];

const EVERY_FLOOR: &[&str] = &[
    "vitalog-measure",
    "vitalog-event",
    "vitalog-wire",
    "vitalog-disk",
    "vitalog-store",
    "vitalog-functions",
    "vitalog-query",
    "vitalog-server",
];

const EVERYTHING: &[&str] = &[
    "vitalog-measure",
    "vitalog-event",
    "vitalog-wire",
    "vitalog-disk",
    "vitalog-store",
    "vitalog-functions",
    "vitalog-query",
    "vitalog-server",
    "vitalog",
];
