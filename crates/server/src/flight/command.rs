//! Which command a client means: Flight SQL packs each into a `google.protobuf.Any`.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{Any, Command, ProstMessageExt};
use bytes::Bytes;
use prost::Message;

use crate::fault::{Fault, Reason};

/// The command of a descriptor.
///
/// # Errors
/// A path instead of a command, or bytes that are none of Flight SQL's.
pub(super) fn of_descriptor(descriptor: &FlightDescriptor) -> Result<Command, Fault> {
    if descriptor.r#type() != DescriptorType::Cmd {
        return Err(malformed(
            "descriptor",
            "only commands of Flight SQL are taken, there are no paths",
        ));
    }
    of_bytes("descriptor", &descriptor.cmd)
}

/// The command in `bytes`, which came in `field`.
///
/// # Errors
/// Bytes that are none of Flight SQL's commands.
pub(super) fn of_bytes(field: &str, bytes: &Bytes) -> Result<Command, Fault> {
    let any = Any::decode(bytes.clone());
    let any = any.map_err(|error| malformed(field, &format!("no command: {error}")))?;
    let command = Command::try_from(any);
    command.map_err(|error| malformed(field, &format!("a damaged command: {error}")))
}

/// The message of an action's body, of which it is known what it must be.
///
/// # Errors
/// Bytes that are no such message.
pub(super) fn body_of<M: ProstMessageExt>(body: &Bytes) -> Result<M, Fault> {
    let any = Any::decode(body.clone());
    let any = any.map_err(|error| malformed("body", &error.to_string()))?;
    let message = any.unpack();
    let message = message.map_err(|error| malformed("body", &error.to_string()))?;
    message.ok_or_else(|| {
        let expected = M::type_url();
        malformed(
            "body",
            &format!("expected {expected}, found {:?}", any.type_url),
        )
    })
}

/// The message of an action's body that may stand there bare or packed.
///
/// # Errors
/// Bytes that are no such message.
pub(super) fn bare_body_of<M: Message + Default>(body: &Bytes) -> Result<M, Fault> {
    const PACKED: &str = "type.googleapis.com/arrow.flight.protocol.";
    let packed = Any::decode(body.clone()).ok();
    let packed = packed.filter(|any| any.type_url.starts_with(PACKED));
    let bytes = packed.map_or_else(|| body.clone(), |any| any.value);
    M::decode(bytes).map_err(|error| malformed("body", &error.to_string()))
}

/// A command that is known and not served.
pub(super) fn unsupported(what: &str, instead: &str) -> Fault {
    let message = format!("{what} is not supported: {instead}");
    Fault::new(Reason::NotSupported, message)
}

fn malformed(field: &str, message: &str) -> Fault {
    Fault::of_field(Reason::MalformedMessage, field, message)
}
