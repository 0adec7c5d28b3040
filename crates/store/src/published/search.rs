//! Which files hold an account or a user: by the bounds of a manifest, the statistics and bloom
//! filters of row groups, and then by reading the column.
//!
//! The answer errs to one side only: a file that cannot be read counts as one that holds the id,
//! because an erasure must not leave it behind.

use arrow_array::StringArray;
use arrow_array::cast::AsArray;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::RowGroupMetaData;
use vitalog_disk::Directory;

use super::catalog::{FileBounds, PublishedFile};
use super::parquet_file::{ParquetFile, column_at};
use crate::error::Result;
use crate::symbols::Domain;

/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 64 << 10;

/// An account or user that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub column: &'static str,
    pub text: &'a str,
}

impl<'a> Wanted<'a> {
    /// `None` for other domains: no published column is one of them.
    pub fn of(domain: Domain, text: &'a str) -> Option<Self> {
        let column = match domain {
            Domain::Account => "account_id",
            Domain::User => "user_id",
            Domain::Event => return None,
        };
        Some(Self { column, text })
    }

    fn bound<'b>(&self, bounds: &'b FileBounds) -> Option<&'b str> {
        match self.column {
            "account_id" => bounds.account_id.as_deref(),
            _ => bounds.user_id.as_deref(),
        }
    }

    /// Whether the manifest's entry rules it out.
    pub fn is_outside(&self, file: &PublishedFile) -> bool {
        self.bound(&file.min).is_some_and(|min| self.text < min)
            || self.bound(&file.max).is_some_and(|max| self.text > max)
            || file.nulls.get(self.column) == Some(&file.rows)
    }

    /// Whether the file `name` holds it, or cannot be read.
    pub fn may_be_in(&self, directory: &dyn Directory, name: &str, sha256: &str) -> bool {
        self.is_in(directory, name, sha256).unwrap_or_else(|error| {
            tracing::warn!(file = name, %error, "a published file cannot be searched");
            true
        })
    }

    fn is_in(&self, directory: &dyn Directory, name: &str, sha256: &str) -> Result<bool> {
        let file = ParquetFile::open(directory, name)?;
        let footer = file.footer()?;
        let mut groups = Vec::new();
        for (at, group) in footer.row_groups().iter().enumerate() {
            if self
                .may_be_in_group(&file, group)
                .map_err(|error| file.damaged(&error))?
            {
                groups.push(at);
            }
        }
        if groups.is_empty() {
            return Ok(false);
        }
        // Damaged pages might decode to other texts.
        if file.sha256(|_| Ok(()))? != sha256 {
            return Ok(true);
        }
        self.is_in_groups(&file, groups)
            .map_err(|error| file.damaged(&error))
    }

    fn may_be_in_group(
        &self,
        file: &ParquetFile,
        group: &RowGroupMetaData,
    ) -> parquet::errors::Result<bool> {
        let Some(at) = column_at(group, self.column) else {
            return Ok(false);
        };
        let column = group.column(at);
        let wanted = self.text.as_bytes();
        if let Some(statistics) = column.statistics() {
            let is_outside = statistics.min_bytes_opt().is_some_and(|min| wanted < min)
                || statistics.max_bytes_opt().is_some_and(|max| wanted > max);
            if is_outside {
                return Ok(false);
            }
        }
        let bloom = Sbbf::read_from_column_chunk(column, file)?;
        Ok(bloom.is_none_or(|bloom| bloom.check(self.text)))
    }

    fn is_in_groups(
        &self,
        file: &ParquetFile,
        groups: Vec<usize>,
    ) -> parquet::errors::Result<bool> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone())?;
        let mask = ProjectionMask::columns(builder.parquet_schema(), [self.column]);
        let batches = builder
            .with_row_groups(groups)
            .with_projection(mask)
            .with_batch_size(BATCH_ROWS)
            .build()?;
        for batch in batches {
            let batch = batch?;
            let texts: Option<&StringArray> = batch.column(0).as_string_opt();
            let texts = texts.ok_or_else(|| {
                ParquetError::General(format!("{} is no column of text", self.column))
            })?;
            if texts.iter().flatten().any(|text| text == self.text) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
