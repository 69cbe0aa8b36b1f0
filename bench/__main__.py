"""Start the benchmark, and end all ranks if one of them fails."""

from __future__ import annotations

import os
import sys
import time
import traceback

from mpi4py import MPI

from .run import main


def start(comm: MPI.Intracomm) -> int:
    """Run to the end; an exception on any rank ends the whole job."""
    try:
        status = main(comm, sys.argv[1:])
        sys.stdout.flush()
        sys.stderr.flush()
        comm.Barrier()  # so that no rank's exit ends the job before all is printed
        return status
    except KeyboardInterrupt:
        comm.Abort(130)
        os._exit(130)
    except BaseException:
        # If several ranks fail alike, one traceback is enough: the first ends the job.
        time.sleep(min(0.2 * comm.rank, 2))
        text = f"collectives.bench: rank {comm.rank} of {comm.size} failed\n"
        sys.stderr.write(text + traceback.format_exc())
        sys.stderr.flush()
        comm.Abort(1)
        os._exit(1)  # Abort may return before the job ends


if __name__ == "__main__":
    sys.exit(start(MPI.COMM_WORLD))
