//! How a type's stored form is spelled out: its fields in order, its variants with their tags.
//!
//! Both macros take values apart exhaustively, so that a new field or variant breaks the build here.

/// `stored_struct!(Type { field, … })`: the fields, one after the other.
macro_rules! stored_struct {
    ($type:ty { $($field:ident),* $(,)? }) => {
        impl $crate::codec::Stored for $type {
            fn put(&self, writer: &mut $crate::codec::Writer) {
                let Self { $($field),* } = self;
                $($crate::codec::Stored::put($field, writer);)*
            }

            fn take(
                reader: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::CodecError> {
                Ok(Self { $($field: $crate::codec::Stored::take(reader)?),* })
            }
        }
    };
}

/// `stored_enum!(Type { tag => Variant(value, …) { field, … }, … })`: one byte of tag, then the variant's values.
macro_rules! stored_enum {
    ($type:ty { $($tag:literal => $variant:ident $( ( $($value:ident),* ) )? $( { $($field:ident),* } )?),* $(,)? }) => {
        impl $crate::codec::Stored for $type {
            fn put(&self, writer: &mut $crate::codec::Writer) {
                match self {
                    $(Self::$variant $( ( $($value),* ) )? $( { $($field),* } )? => {
                        writer.byte($tag);
                        $($($crate::codec::Stored::put($value, writer);)*)?
                        $($($crate::codec::Stored::put($field, writer);)*)?
                    })*
                }
            }

            fn take(
                reader: &mut $crate::codec::Reader<'_>,
            ) -> Result<Self, $crate::codec::CodecError> {
                match reader.byte()? {
                    $($tag => Ok(Self::$variant
                        $( ( $( { let $value = $crate::codec::Stored::take(reader)?; $value } ),* ) )?
                        $( { $($field: $crate::codec::Stored::take(reader)?),* } )?
                    ),)*
                    tag => Err($crate::codec::CodecError::Tag { what: stringify!($type), tag }),
                }
            }
        }
    };
}
