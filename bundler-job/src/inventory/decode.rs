//! From verified files to batches: one thread decompresses and splits, a thread a block parses, and
//! batches come out in the order of the files and their rows.

use std::io::{self, BufRead, BufReader};
use std::sync::Arc;
use std::thread::available_parallelism;

use flate2::bufread::MultiGzDecoder;
use s3bundler_contract::S3Address;
use s3bundler_contract::group_manifest::{Columns, RowError, RowProblem};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::block::{Block, BlockError, Blocks};
use super::spool::{self, Files, Scratch, Spooled};
use super::{Inventory, InventoryError, InventoryRow, Rows};
use crate::s3::S3;

/// Bytes of a file that are read at once.
const READ_BYTES: usize = 256 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What parsing made of an inventory's blocks, in order. Dropping it stops all work on them.
pub struct Batches<T> {
    slots: mpsc::Receiver<Slot<T>>,
    ended: bool,
    _spooling: JoinSet<()>,
}

enum Slot<T> {
    /// A block that is being parsed.
    Block(oneshot::Receiver<Result<T, InventoryError>>),
    /// No further block can be had.
    Failed(InventoryError),
    /// All files were read to their ends.
    End,
}

impl Inventory {
    /// Starts to download the data files to `scratch` and to run `parse` over the rows of every
    /// block of those that are verified, several blocks at a time. Must be called inside a tokio
    /// runtime.
    pub fn batches<T, P>(&self, s3: &S3, scratch: &Scratch, parse: P) -> Batches<T>
    where
        T: Send + 'static,
        P: Fn(&mut Rows<&[u8]>) -> Result<T, RowError> + Send + Sync + 'static,
    {
        let (spooling, files) = spool::start(s3, self, scratch);
        // As many blocks in flight as there are cores to parse them, and one more that is ready.
        let (sender, slots) = mpsc::channel(available_parallelism().map_or(2, |n| n.get() + 1));
        let work = Arc::new(Work {
            columns: self.columns().clone(),
            parse,
        });
        let runtime = Handle::current();
        runtime
            .clone()
            .spawn_blocking(move || decode(files, &work, &sender, &runtime));
        Batches {
            slots,
            ended: false,
            _spooling: spooling,
        }
    }
}

impl<T> Batches<T> {
    /// The next batch; `None` once the whole inventory was read. Every file agreed with the
    /// manifest before its first row was parsed. Blocks: not for the executor.
    pub fn next_batch(&mut self) -> Result<Option<T>, InventoryError> {
        if self.ended {
            return Ok(None);
        }
        match self.slots.blocking_recv() {
            Some(Slot::Block(batch)) => batch
                .blocking_recv()
                .map_err(|_| InventoryError::Stopped)?
                .map(Some),
            Some(Slot::Failed(error)) => Err(error),
            Some(Slot::End) => {
                self.ended = true;
                Ok(None)
            }
            None => Err(InventoryError::Stopped),
        }
    }
}

struct Work<P> {
    columns: Columns,
    parse: P,
}

/// Nobody wants the batches any more.
struct Unwanted;

fn decode<T, P>(
    mut files: Files,
    work: &Arc<Work<P>>,
    slots: &mpsc::Sender<Slot<T>>,
    runtime: &Handle,
) where
    T: Send + 'static,
    P: Fn(&mut Rows<&[u8]>) -> Result<T, RowError> + Send + Sync + 'static,
{
    loop {
        let file = match files.next() {
            Ok(Some(file)) => file,
            Ok(None) => break,
            Err(error) => {
                let _ = slots.blocking_send(Slot::Failed(error));
                return;
            }
        };
        let address = Arc::new(file.address.clone());
        let outcome = decode_file(&file, |block| {
            let (sender, batch) = oneshot::channel();
            slots
                .blocking_send(Slot::Block(batch))
                .map_err(|_| Unwanted)?;
            let (work, address) = (Arc::clone(work), Arc::clone(&address));
            runtime.spawn_blocking(move || {
                let batch = (work.parse)(&mut Rows::of_block(&block, &work.columns));
                let _ = sender.send(batch.map_err(|error| InventoryError::Row {
                    file: (*address).clone(),
                    error,
                }));
            });
            Ok(())
        });
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(Unwanted)) => return,
            Err(error) => {
                let _ = slots.blocking_send(Slot::Failed(error));
                return;
            }
        }
    }
    let _ = slots.blocking_send(Slot::End);
}

fn decode_file(
    file: &Spooled,
    mut each: impl FnMut(Block) -> Result<(), Unwanted>,
) -> Result<Result<(), Unwanted>, InventoryError> {
    let bytes = BufReader::with_capacity(READ_BYTES, &file.bytes);
    split(bytes, &mut each).map_err(|error| error.of(file.address.clone()))
}

/// Reads one data file as [`Inventory::batches`] does, from memory; gives the number of its rows.
pub fn read_data_file(
    bytes: &[u8],
    columns: &Columns,
    mut each: impl FnMut(InventoryRow<'_>),
) -> Result<u64, DataFileError> {
    let (mut read, mut failed) = (0, None);
    let split = split(bytes, &mut |block| {
        let mut rows = Rows::of_block(&block, columns);
        loop {
            match rows.next_row() {
                Ok(Some(row)) => each(row),
                Ok(None) => return Ok(()),
                Err(error) => failed = Some(error),
            }
            if failed.is_some() {
                return Err(Unwanted);
            }
            read += 1;
        }
    });
    split.map(|_| ())?;
    failed.map_or(Ok(read), |error| Err(DataFileError::Row(error)))
}

/// What is wrong with the bytes of a data file.
#[derive(Debug, thiserror::Error)]
pub enum DataFileError {
    /// Not compressed.
    #[error("it is not gzip")]
    NotGzip,
    /// The end is missing.
    #[error("it is cut off")]
    Truncated,
    /// It does not decompress.
    #[error("it is damaged: {0}")]
    Corrupt(io::Error),
    /// A row that cannot be read.
    #[error(transparent)]
    Row(RowError),
}

impl DataFileError {
    fn of(self, file: S3Address) -> InventoryError {
        match self {
            Self::NotGzip => InventoryError::NotGzip(file),
            Self::Truncated => InventoryError::Truncated(file),
            Self::Corrupt(cause) => InventoryError::Corrupt { file, cause },
            Self::Row(error) => InventoryError::Row { file, error },
        }
    }
}

/// Decompresses a data file and cuts it into blocks.
fn split(
    mut bytes: impl BufRead,
    each: &mut impl FnMut(Block) -> Result<(), Unwanted>,
) -> Result<Result<(), Unwanted>, DataFileError> {
    let corrupt = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => DataFileError::Truncated,
        _ => DataFileError::Corrupt(error),
    };
    let start = bytes.fill_buf().map_err(corrupt)?;
    // A first chunk of one byte is left to the decoder to judge.
    if start.len() >= GZIP_MAGIC.len() && !start.starts_with(&GZIP_MAGIC) {
        return Err(DataFileError::NotGzip);
    }
    let mut blocks = Blocks::new(MultiGzDecoder::new(bytes));
    loop {
        match blocks.next() {
            Ok(Some(block)) => {
                if each(block).is_err() {
                    return Ok(Err(Unwanted));
                }
            }
            Ok(None) => return Ok(Ok(())),
            Err(BlockError::Io(error)) => return Err(corrupt(error)),
            Err(BlockError::RowTooLong(line)) => {
                return Err(DataFileError::Row(RowError {
                    line,
                    problem: RowProblem::TooLong,
                }));
            }
        }
    }
}
