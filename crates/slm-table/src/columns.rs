//! Columns that grow by JSON values.

use polars_arrow::array::{
    Array, ListArray, MutableBinaryViewArray, MutableBooleanArray, MutablePrimitiveArray,
    StructArray,
};
use polars_arrow::bitmap::MutableBitmap;
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_arrow::offset::Offsets;
use serde_json::Value;

use crate::kind::Kind;

/// The type in which a settled kind is written.
pub fn data_type(kind: &Kind) -> ArrowDataType {
    match kind {
        Kind::Bool => ArrowDataType::Boolean,
        Kind::Int | Kind::Long => ArrowDataType::Int64,
        Kind::Float => ArrowDataType::Float64,
        Kind::Null | Kind::Text | Kind::Json => ArrowDataType::Utf8View,
        Kind::List(kind) => ArrowDataType::LargeList(Box::new(field("element", kind))),
        Kind::Struct(members) => ArrowDataType::Struct(
            members
                .iter()
                .map(|(name, kind)| field(name, kind))
                .collect(),
        ),
    }
}

/// A column or member of that name; any of its cells may be null.
pub fn field(name: &str, kind: &Kind) -> Field {
    Field::new(name.into(), data_type(kind), true)
}

/// A column under construction, of a settled kind.
pub enum Column {
    Bool(MutableBooleanArray),
    Int(MutablePrimitiveArray<i64>),
    Float(MutablePrimitiveArray<f64>),
    Text(MutableBinaryViewArray<str>),
    /// Values of any type, as JSON.
    Json(MutableBinaryViewArray<str>),
    List {
        data_type: ArrowDataType,
        ends: Offsets<i64>,
        valid: MutableBitmap,
        items: Box<Column>,
    },
    Struct {
        data_type: ArrowDataType,
        valid: MutableBitmap,
        members: Vec<(String, Column)>,
    },
}

impl Column {
    /// An empty column.
    pub fn new(kind: &Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(MutableBooleanArray::new()),
            Kind::Int | Kind::Long => Self::Int(MutablePrimitiveArray::new()),
            Kind::Float => Self::Float(MutablePrimitiveArray::new()),
            Kind::Null | Kind::Text => Self::Text(MutableBinaryViewArray::new()),
            Kind::Json => Self::Json(MutableBinaryViewArray::new()),
            Kind::List(items) => Self::List {
                data_type: data_type(kind),
                ends: Offsets::new(),
                valid: MutableBitmap::new(),
                items: Box::new(Self::new(items)),
            },
            Kind::Struct(members) => Self::Struct {
                data_type: data_type(kind),
                valid: MutableBitmap::new(),
                members: members
                    .iter()
                    .map(|(name, kind)| (name.clone(), Self::new(kind)))
                    .collect(),
            },
        }
    }

    /// Appends a value that the column's kind was widened to hold, or null.
    pub fn push(&mut self, value: Option<&Value>) {
        let value = value.filter(|value| !value.is_null());
        match self {
            Self::Bool(cells) => cells.push(value.and_then(Value::as_bool)),
            Self::Int(cells) => cells.push(value.and_then(Value::as_i64)),
            Self::Float(cells) => cells.push(value.and_then(Value::as_f64)),
            Self::Text(cells) => cells.push(value.and_then(Value::as_str)),
            Self::Json(cells) => cells.push(value.map(ToString::to_string)),
            Self::List {
                ends, valid, items, ..
            } => {
                let list = value.and_then(Value::as_array);
                valid.push(list.is_some());
                for item in list.into_iter().flatten() {
                    items.push(Some(item));
                }
                // Offsets of 64 bits do not overflow: each of them counts a value in memory.
                let _ = ends.try_push(list.map_or(0, Vec::len));
            }
            Self::Struct { valid, members, .. } => {
                let object = value.and_then(Value::as_object);
                valid.push(object.is_some());
                for (name, column) in members {
                    column.push(object.and_then(|object| object.get(name)));
                }
            }
        }
    }

    /// The column as polars writes it.
    pub fn finish(self) -> Box<dyn Array> {
        match self {
            Self::Bool(cells) => Box::new(polars_arrow::array::BooleanArray::from(cells)),
            Self::Int(cells) => Box::new(polars_arrow::array::PrimitiveArray::from(cells)),
            Self::Float(cells) => Box::new(polars_arrow::array::PrimitiveArray::from(cells)),
            Self::Text(cells) | Self::Json(cells) => Box::new(cells.freeze()),
            Self::List {
                data_type,
                ends,
                valid,
                items,
            } => Box::new(ListArray::new(
                data_type,
                ends.into(),
                items.finish(),
                valid.into(),
            )),
            Self::Struct {
                data_type,
                valid,
                members,
            } => {
                let length = valid.len();
                let members = members.into_iter().map(|(_, column)| column.finish());
                Box::new(StructArray::new(
                    data_type,
                    length,
                    members.collect(),
                    valid.into(),
                ))
            }
        }
    }
}
