//! The window functions: one file a function. Every aggregate works over windows, too.

use std::sync::Arc;

use datafusion_expr::WindowUDF;

mod health_normalize;

/// Every window function, in the order of their names.
pub(crate) fn all() -> Vec<Arc<WindowUDF>> {
    vec![Arc::new(WindowUDF::from(
        health_normalize::HealthNormalize::new(),
    ))]
}
