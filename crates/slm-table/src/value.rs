//! A cell of a column as JSON.
//!
//! A member of a struct that is null is left out, because Parquet cannot say that a key is
//! absent: `{"a": 1}` beside `{"b": 2}` comes back as `{"a": 1, "b": null}` otherwise.

use polars_arrow::array::{
    Array, BinaryArray, BinaryViewArray, BooleanArray, FixedSizeBinaryArray, FixedSizeListArray,
    ListArray, MapArray, PrimitiveArray, StructArray, Utf8Array, Utf8ViewArray, get_display,
};
use polars_arrow::datatypes::{ArrowDataType, PhysicalType};
use polars_arrow::types::PrimitiveType;
use serde_json::{Map, Value};

/// How many bytes of a cell that is no text are shown.
const SHOWN_BYTES: usize = 16;

/// The cell at `index`. Times, dates and decimals become text; bytes that are no text become a
/// list of the first 16 of them.
pub fn value(array: &dyn Array, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    let text = |text: &str| Value::String(text.to_owned());
    match array.dtype().to_physical_type() {
        PhysicalType::Null => Value::Null,
        PhysicalType::Boolean => as_::<BooleanArray>(array).value(index).into(),
        PhysicalType::Primitive(kind) => primitive(array, kind, index),
        PhysicalType::Utf8View => text(as_::<Utf8ViewArray>(array).value(index)),
        PhysicalType::Utf8 => text(as_::<Utf8Array<i32>>(array).value(index)),
        PhysicalType::LargeUtf8 => text(as_::<Utf8Array<i64>>(array).value(index)),
        PhysicalType::BinaryView => bytes(as_::<BinaryViewArray>(array).value(index)),
        PhysicalType::Binary => bytes(as_::<BinaryArray<i32>>(array).value(index)),
        PhysicalType::LargeBinary => bytes(as_::<BinaryArray<i64>>(array).value(index)),
        PhysicalType::FixedSizeBinary => bytes(as_::<FixedSizeBinaryArray>(array).value(index)),
        PhysicalType::List => list(as_::<ListArray<i32>>(array).value(index).as_ref()),
        PhysicalType::LargeList => {
            let array = as_::<ListArray<i64>>(array);
            let (start, end) = array.offsets().start_end(index);
            let items = array.values().as_ref();
            Value::Array((start..end).map(|index| value(items, index)).collect())
        }
        PhysicalType::FixedSizeList => list(as_::<FixedSizeListArray>(array).value(index).as_ref()),
        PhysicalType::Struct => object(as_::<StructArray>(array), index),
        PhysicalType::Map => entries(as_::<MapArray>(array).value(index).as_ref()),
        PhysicalType::Dictionary(_) | PhysicalType::Union => display(array, index),
    }
}

fn as_<T: 'static>(array: &dyn Array) -> &T {
    // The type was just asked for; a reader that lies is stopped by `guarded`.
    array.as_any().downcast_ref().expect("the array's own type")
}

fn primitive(array: &dyn Array, kind: PrimitiveType, index: usize) -> Value {
    macro_rules! number {
        ($type:ty) => {
            as_::<PrimitiveArray<$type>>(array).value(index).into()
        };
    }
    use ArrowDataType as T;
    let plain = matches!(
        array.dtype(),
        T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64
    );
    match kind {
        PrimitiveType::Float32 => {
            // The shortest decimal of the f32, not of the f64 that equals it.
            let number = as_::<PrimitiveArray<f32>>(array).value(index);
            number
                .to_string()
                .parse::<f64>()
                .unwrap_or(number.into())
                .into()
        }
        PrimitiveType::Float64 => number!(f64),
        PrimitiveType::Int8 if plain => number!(i8),
        PrimitiveType::Int16 if plain => number!(i16),
        PrimitiveType::Int32 if plain => number!(i32),
        PrimitiveType::Int64 if plain => number!(i64),
        PrimitiveType::UInt8 if plain => number!(u8),
        PrimitiveType::UInt16 if plain => number!(u16),
        PrimitiveType::UInt32 if plain => number!(u32),
        PrimitiveType::UInt64 if plain => number!(u64),
        _ => display(array, index),
    }
}

/// As polars writes it.
fn display(array: &dyn Array, index: usize) -> Value {
    let mut text = String::new();
    let write = get_display::<String>(array, "null");
    match write(&mut text, index) {
        Ok(()) => Value::String(text),
        Err(_) => Value::Null,
    }
}

fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes.iter().copied().take(SHOWN_BYTES).collect(),
    }
}

fn list(items: &dyn Array) -> Value {
    (0..items.len()).map(|index| value(items, index)).collect()
}

fn object(array: &StructArray, index: usize) -> Value {
    let members = array.fields().iter().zip(array.values());
    let values = members.map(|(field, array)| (&field.name, value(array.as_ref(), index)));
    let given = values.filter(|(_, value)| !value.is_null());
    Value::Object(
        given
            .map(|(name, value)| (name.to_string(), value))
            .collect(),
    )
}

/// A map's keys and values, of which the keys are texts or are written as such.
fn entries(array: &dyn Array) -> Value {
    let array = as_::<StructArray>(array);
    let [keys, values] = array.values() else {
        return Value::Null;
    };
    let entry = |index| {
        let key = match value(keys.as_ref(), index) {
            Value::String(key) => key,
            other => other.to_string(),
        };
        (key, value(values.as_ref(), index))
    };
    Value::Object(Map::from_iter((0..array.len()).map(entry)))
}
