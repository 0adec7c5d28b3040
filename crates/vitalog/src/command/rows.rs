//! The rows of an answer by column name, typed.
//!
//! Invariant: a column that is missing or has another type is an error, never a NULL.

use anyhow::anyhow;
use arrow::array::{
    Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};

/// A whole answer.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    batch: RecordBatch,
}

impl Rows {
    pub fn new(batch: RecordBatch) -> Self {
        Self { batch }
    }

    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// Each value of a text column.
    ///
    /// # Errors
    /// There is no such column of text.
    pub fn texts(&self, name: &str) -> anyhow::Result<Vec<Option<String>>> {
        let column: &StringArray = self.column(name)?;
        Ok(column.iter().map(|text| text.map(str::to_owned)).collect())
    }

    /// Each value of a DOUBLE column.
    ///
    /// # Errors
    /// There is no such column of doubles.
    pub fn numbers(&self, name: &str) -> anyhow::Result<Vec<Option<f64>>> {
        let column: &Float64Array = self.column(name)?;
        Ok(column.iter().collect())
    }

    /// Each value of a BIGINT column.
    ///
    /// # Errors
    /// There is no such column of integers.
    pub fn integers(&self, name: &str) -> anyhow::Result<Vec<Option<i64>>> {
        let column: &Int64Array = self.column(name)?;
        Ok(column.iter().collect())
    }

    /// Each value of a BOOLEAN column.
    ///
    /// # Errors
    /// There is no such column of booleans.
    pub fn booleans(&self, name: &str) -> anyhow::Result<Vec<Option<bool>>> {
        let column: &BooleanArray = self.column(name)?;
        Ok(column.iter().collect())
    }

    /// Each value of a TIMESTAMP column, microseconds since 1970 UTC.
    ///
    /// # Errors
    /// There is no such column of times.
    pub fn times(&self, name: &str) -> anyhow::Result<Vec<Option<i64>>> {
        let column: &TimestampMicrosecondArray = self.column(name)?;
        Ok(column.iter().collect())
    }

    fn column<A: Array + 'static>(&self, name: &str) -> anyhow::Result<&A> {
        let column = self.batch.column_by_name(name);
        column
            .and_then(|column| column.as_any().downcast_ref())
            .ok_or_else(|| {
                let found = column.map_or("nothing".to_owned(), |one| one.data_type().to_string());
                let type_name = std::any::type_name::<A>();
                anyhow!("the answer should have a column {name} of {type_name}, found {found}")
            })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn columns_are_typed_and_missing_ones_are_errors() {
        let numbers: Arc<dyn Array> = Arc::new(Float64Array::from(vec![Some(1.5), None]));
        let batch = RecordBatch::try_from_iter([("score", numbers)]).expect("one column");
        let rows = Rows::new(batch);
        assert_eq!(rows.numbers("score").expect("there"), [Some(1.5), None]);
        for error in [rows.texts("score").err(), rows.texts("name").err()] {
            assert!(error.is_some_and(|error| error.to_string().contains("should have a column")));
        }
    }
}
