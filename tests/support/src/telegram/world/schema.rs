//! The part of the schema that describes messages, read at run time, so that every kind there is can be made.

use std::collections::HashMap;
use std::sync::LazyLock;

use grammers_tl_parser::parse_tl_file;
use grammers_tl_parser::tl::{ParameterType, Type};

/// What messages are made of, without what only requests hold.
pub(crate) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(include_str!("layer230.tl")));

/// Constructors by the type they make.
#[derive(Debug)]
pub(crate) struct Schema {
    types: HashMap<String, Vec<Constructor>>,
}

/// One way to make a type.
#[derive(Debug)]
pub(crate) struct Constructor {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) fields: Vec<Field>,
}

/// A field, in the order of the wire.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// What a field holds.
#[derive(Debug)]
pub(crate) enum Content {
    /// Bits that say which optional fields are there.
    Flags,
    /// A value, perhaps only when a bit of a flags field is set.
    Value { name: String, vector: bool, flag: Option<(String, usize)> },
}

impl Schema {
    /// The file is part of the program, so that only a mistake in it can make this fail.
    fn read(text: &str) -> Self {
        let mut types: HashMap<String, Vec<Constructor>> = HashMap::new();
        for definition in parse_tl_file(text) {
            let definition = definition.expect("the schema reads");
            let fields = definition.params.into_iter().map(|parameter| Field {
                name: parameter.name,
                content: match parameter.ty {
                    ParameterType::Flags => Content::Flags,
                    ParameterType::Normal { ty, flag } => {
                        let vector = ty.generic_arg.is_some();
                        let flag = flag.map(|flag| (flag.name, flag.index));
                        Content::Value { name: full_name(ty.generic_arg.as_deref().unwrap_or(&ty)), vector, flag }
                    }
                },
            });
            let constructor = Constructor { name: definition.name, id: definition.id, fields: fields.collect() };
            types.entry(full_name(&definition.ty)).or_default().push(constructor);
        }
        Self { types }
    }

    /// The constructors of a type; none for the built-in ones.
    pub(crate) fn constructors(&self, name: &str) -> &[Constructor] {
        self.types.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}

fn full_name(ty: &Type) -> String {
    ty.namespace.iter().map(|part| format!("{part}.")).chain([ty.name.clone()]).collect()
}
