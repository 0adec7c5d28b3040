//! The codec of appends: requests stay the bytes that they are, responses are the generated
//! message. See `request` for why.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

/// Encodes answers of type `T`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AppendCodec<T>(PhantomData<T>);

impl<T> Default for AppendCodec<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Default + Send + 'static> Codec for AppendCodec<T> {
    type Encode = T;
    type Decode = Bytes;
    type Encoder = ProstEncoder<T>;
    type Decoder = RawDecoder;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, T>::default().encoder()
    }

    fn decoder(&mut self) -> RawDecoder {
        RawDecoder
    }
}

/// Hands the bytes of a message on, without a copy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawDecoder;

impl Decoder for RawDecoder {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(source.copy_to_bytes(source.remaining())))
    }
}
