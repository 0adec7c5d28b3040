//! The types of SQL, as ODBC and JDBC drivers ask for them.

use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// Name, type, digits or length, quotes of literals.
type Row = (
    &'static str,
    XdbcDataType,
    Option<i32>,
    Option<&'static str>,
);

/// Every type that columns have, by the number of the type.
const TYPES: [Row; 11] = [
    ("BOOLEAN", XdbcDataType::XdbcBit, Some(1), None),
    ("BIGINT", XdbcDataType::XdbcBigint, Some(19), None),
    ("BYTEA", XdbcDataType::XdbcVarbinary, None, Some("X'")),
    ("DECIMAL", XdbcDataType::XdbcDecimal, Some(76), None),
    ("INTEGER", XdbcDataType::XdbcInteger, Some(10), None),
    ("SMALLINT", XdbcDataType::XdbcSmallint, Some(5), None),
    ("REAL", XdbcDataType::XdbcReal, Some(7), None),
    ("DOUBLE", XdbcDataType::XdbcDouble, Some(15), None),
    ("TEXT", XdbcDataType::XdbcVarchar, None, Some("'")),
    ("DATE", XdbcDataType::XdbcDate, Some(10), Some("DATE '")),
    (
        "TIMESTAMP",
        XdbcDataType::XdbcTimestamp,
        Some(26),
        Some("TIMESTAMP '"),
    ),
];

/// The types as rows.
pub(super) fn data() -> Result<XdbcTypeInfoData, FlightError> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for row in TYPES {
        builder.append(info_of(row));
    }
    builder.build()
}

fn info_of((name, data_type, column_size, literal_prefix): Row) -> XdbcTypeInfo {
    let is_text = data_type == XdbcDataType::XdbcVarchar;
    let is_number = literal_prefix.is_none() && data_type != XdbcDataType::XdbcBit;
    let subcode = match data_type {
        // DATE and YEAR share a number.
        XdbcDataType::XdbcDate => Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
        XdbcDataType::XdbcTimestamp => Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        _ => None,
    };
    XdbcTypeInfo {
        type_name: name.to_owned(),
        data_type,
        column_size,
        literal_prefix: literal_prefix.map(str::to_owned),
        literal_suffix: literal_prefix.map(|_| "'".to_owned()),
        create_params: None,
        nullable: Nullable::NullabilityNullable,
        case_sensitive: is_text,
        searchable: if is_text {
            Searchable::Full
        } else {
            Searchable::Basic
        },
        unsigned_attribute: is_number.then_some(false),
        fixed_prec_scale: false,
        auto_increment: is_number.then_some(false),
        local_type_name: Some(name.to_owned()),
        minimum_scale: None,
        maximum_scale: None,
        sql_data_type: if subcode.is_some() {
            XdbcDataType::XdbcDatetime
        } else {
            data_type
        },
        datetime_subcode: subcode,
        num_prec_radix: is_number.then_some(10),
        interval_precision: None,
    }
}
