//! Vitalog's protobuf messages and gRPC clients and servers, as Rust.
//!
//! Generated from `proto/` by `cargo xtask generate` and checked in, so that no build needs
//! `protoc` or a build script; `cargo xtask generate --check` fails where the two have drifted
//! apart. This crate owns no logic: messages are validated and turned into Vitalog's own types at
//! the edge, in the server.
#![forbid(unsafe_code)]

/// The protobuf package `vitalog`.
pub mod vitalog {
    /// Version 1: messages, and for each service a module with its client and one with its server.
    #[allow(missing_docs, clippy::all, clippy::pedantic)]
    pub mod v1 {
        include!("generated/vitalog.v1.rs");
    }
}

/// The protobuf package `google`.
pub mod google {
    /// The status that acks carry, as every gRPC implementation knows it.
    #[allow(missing_docs, clippy::all, clippy::pedantic, rustdoc::all)]
    pub mod rpc {
        include!("generated/google.rpc.rs");
    }
}

/// Every .proto file as an encoded `google.protobuf.FileDescriptorSet`, imports and comments
/// included: what server reflection needs.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/descriptor_set.bin");

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::{FileDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

    use super::FILE_DESCRIPTOR_SET;
    use super::vitalog::v1::{AppendRequest, Event, EventBatch, append_request::Batch};

    fn own_files() -> Vec<FileDescriptorProto> {
        let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the checked-in set");
        set.file
            .into_iter()
            .filter(|file| file.package() == "vitalog.v1")
            .collect()
    }

    #[test]
    fn reflection_knows_every_service() {
        let files = own_files();
        let services: Vec<&str> = files
            .iter()
            .flat_map(|file| &file.service)
            .map(ServiceDescriptorProto::name)
            .collect();
        let expected = [
            "CatalogService",
            "EventService",
            "HealthService",
            "ModelService",
            "QueryService",
            "SnapshotService",
            "UpkeepService",
            "ViewService",
        ];
        assert_eq!(services, expected);
    }

    /// A comment belongs to a path of field numbers: 4 messages, 5 enums, 6 services of a file,
    /// and 2 the fields, values or methods of each.
    #[test]
    fn every_message_field_and_method_is_commented() {
        for file in own_files() {
            let info = file.source_code_info.as_ref().expect("comments are kept");
            let is_commented = |path: &[i32]| {
                info.location
                    .iter()
                    .any(|place| place.path == path && !place.leading_comments().trim().is_empty())
            };
            let messages = file.message_type.iter().map(|message| message.field.len());
            let enums = file.enum_type.iter().map(|one| one.value.len());
            let services = file.service.iter().map(|service| service.method.len());
            let kinds: [(i32, Vec<usize>); 3] = [
                (4, messages.collect()),
                (5, enums.collect()),
                (6, services.collect()),
            ];
            for (kind, members) in kinds {
                for (index, count) in (0_i32..).zip(members) {
                    assert!(
                        is_commented(&[kind, index]),
                        "{} {kind} {index}",
                        file.name()
                    );
                    for member in (0_i32..).take(count) {
                        let path = [kind, index, 2, member];
                        assert!(is_commented(&path), "{} {path:?}", file.name());
                    }
                }
            }
        }
    }

    /// Absent and empty are different on the wire: an empty id is an error, an absent one is not.
    #[test]
    fn absent_and_empty_differ() {
        let absent = Event {
            event: "opened".to_owned(),
            ..Event::default()
        };
        let empty = Event {
            event_id: Some(String::new()),
            ..absent.clone()
        };
        let events = vec![absent, empty];
        let request = AppendRequest {
            batch: Some(Batch::Events(EventBatch { events })),
            ..AppendRequest::default()
        };
        let decoded = AppendRequest::decode(request.encode_to_vec().as_slice());
        assert_eq!(decoded, Ok(request));
    }
}
