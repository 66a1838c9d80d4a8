"""One run: a payload on a platform, from power-on to its end, and the folder that tells of it."""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from efi_services import status
from efi_services.abi import ABIS
from efi_services.boot_manager import boot
from efi_services.dispatch import RunEnds
from efi_services.firmware import Firmware
from efi_services.platform import PlatformError
from efi_services.ports import Access, Ports
from efi_services.status import EfiError
from shim.config import run as report
from shim.disks.attached import Attached
from shim.engine import engine_info
from shim.errors import NotRunnableError, UsageError
from shim.handoff import pieces as handed
from shim.handoff import state
from shim.handoff.verdicts.judge import judge
from shim.handoff.verdicts.verdict import FILE as VERDICTS
from shim.handoff.verdicts.verdict import to_json
from shim.loader import LoadableImage, PeReader
from shim.machine.machine import SLICE, Machine, Stop
from shim.measure import pieces
from shim.session import given, launched, measurements
from shim.session.from_disk import build_with
from shim.session.in_between import run_stages
from shim.session.request import Progress, Request, check
from shim.tpm.authenticode import PeDigests
from shim.tpm.swtpm import Swtpm
from shim.trace.accesses import PythonRecorder
from shim.trace.code import Code, write_functions
from shim.trace.native import Keep, NativeRecorder
from shim.trace.watcher import Watcher
from shim.trace.writer import warm_up, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from efi_services.abi import Abi
    from efi_services.framebuffer import Picture
    from efi_services.service import Calls
    from shim.machine.sbi import Call
    from shim.machine.user.mode import Performed
    from shim.trace.accesses import Recorder

#: Blocks between two looks at the wall clock, by the recorder: a tenth of a second with the native one and the released
#: engine, some 30 ms with the other. Each look costs a restart of the emulation, so fast runs look less often.
RECORDED_SLICE = {"native": 1 << 17, "python": 1 << 13}


class Session:
    """A run that is being made. *show* gets the guest's console text, *progress* is called now and then."""

    def __init__(
        self,
        request: Request,
        folder: Path,
        show: Callable[[str], None] = lambda _text: None,
        progress: Callable[[Progress], None] = lambda _progress: None,
    ) -> None:
        self._request = request
        self._folder = folder
        self._progress = progress
        self._began = time.monotonic()
        self._services_s = 0.0
        self._emulation_s = 0.0
        #: The run was ended by the host's clock or its user, at a moment that no other run will hit.
        self._host_decided = False
        self._swtpm: Swtpm | None = None
        #: The firmware did not let the payload begin.
        self._refused: RunEnds | None = None
        self._interrupted = False
        check(request)
        abi = ABIS[request.platform.machine]
        self._disks = request.boot.disks if request.boot is not None else Attached(request.platform)
        try:
            self._switch_on(abi, show)
        except BaseException:
            self._let_go()
            raise

    def _switch_on(self, abi: Abi, show: Callable[[str], None]) -> None:
        request, folder = self._request, self._folder
        layout, platform = build_with(request.platform, self._disks, unprivileged=request.unprivileged)
        # A folder with it and without run.json is of a run that has not come to its end.
        write_whole(folder / "platform.toml", self._disks.platform.toml)
        self._watcher = Watcher(folder, show)
        for each in self._disks.left_out:
            self._watcher.finding("disk-file-left-out", each)
        self._machine = machine = Machine(layout, request.platform.cpu, request.seed)
        tpm = request.platform.tpm
        self._swtpm = Swtpm(tpm.swtpm) if tpm is not None and tpm.swtpm is not None else None
        ports = Ports(
            machine,
            machine.ram,
            machine,
            machine.clock,
            machine.entropy,
            PeReader(request.payload),
            self._watcher,
            PeDigests(),
            self._swtpm,
            self._disks.ports,
        )
        self._recorder: Recorder | None = self._record() if request.trace == "exact" else None
        for start, end, memory_type, name in layout.own_regions:
            self._watcher.region_born(start, end, "firmware", memory_type, name)
        try:
            link = request.link
            self._firmware = Firmware(abi, platform, ports, request.initrd, link.resumed if link is not None else None)
            for name, address, data in link.handed_over if link is not None else ():
                machine.ram.write(address, data)
                self._watcher.provided(name, address, data)
            for stage in request.stages:
                stage.prepare(self._firmware)
            try:
                self._program = self._begin()
            except RunEnds as refusal:
                self._refused = refusal
            stack = self._firmware.allocate_stack()
        except EfiError as error:
            raise NotRunnableError(self._why_not(error)) from None
        except PlatformError as error:
            raise UsageError(f"platform {request.platform.name}: {error}") from None
        machine.performed = self._performed
        machine.asked = self._asked
        machine.wakes = self._firmware.tick
        machine.prepare(self._firmware.gates.ranges, self._enter, stack)
        if isinstance(self._recorder, NativeRecorder):
            machine.watch_natively(self._recorder.folder)
        elif self._recorder is not None:
            machine.watch(self._recorder.access, self._recorder.block)

    def _begin(self) -> Calls[None]:
        """What the firmware does with the CPU, from the first image's start to the end."""
        request, firmware = self._request, self._firmware
        if request.boot is None:
            return firmware.run_payload(firmware.load_payload(request.payload.data, "payload", request.cmdline))
        options = None if request.cmdline is None else (request.cmdline + "\0").encode("utf-16-le")
        return boot(firmware, options, request.boot.path)

    @property
    def picture(self) -> Picture | None:
        """What the screen shows, if there is one."""
        screen = self._firmware.screen
        return None if screen is None else screen.picture()

    def run(self) -> report.RunReport:
        """Run to the end and write the folder; gives what run.json says."""
        request = self._request
        entry: dict[str, Any] | None = None
        try:
            ended, stop = self._execute()
            self._machine.leave_user_mode()
            self._firmware.slots.look()
            stages: list[report.StageReport] = []
            if stop is not None:
                stages, stop, stopped = run_stages(request.stages, self._machine, self._firmware, stop)
                if stopped is not None:
                    ended = stopped
            if stop is not None:
                entry = state.collect(self._machine, self._firmware, stop)
                for address, name in state.places(entry):
                    self._watcher.region_named(address, name)
            drtm = launched.measure(self._firmware, self._machine.ram) if stop is not None else ()
            launched.save(self._folder, self._firmware, drtm)
            measurements.save(self._folder, self._firmware.measurer)
        finally:
            self._let_go()
            self._firmware.dispatcher.abandon()
            code = list(self._code())
            try:
                self._watcher.close()
            finally:
                if self._recorder is not None:
                    self._recorder.close()
        if self._recorder is not None:
            write_functions(self._folder, self._request.payload.machine.value, code, self._machine.ram.view)
        handoff = report.Handoff()
        if stop is not None and entry is not None:
            state.save(self._folder, entry, self._machine.ram)
            self._judge(entry)
            pieces.save(self._folder / pieces.HANDED, handed.collect(entry, self._machine.ram))
            handoff = report.Handoff(entry=stop.pc, registers=entry["registers"], entered_from=stop.came_from)
        if self._request.dump_ram:
            state.save_ram(self._folder, self._machine.ram)
        files = pieces.inputs(request.cmdline, request.initrd)
        pieces.save(self._folder / pieces.INPUTS, [*files, *self._watcher.inputs])
        made = self._report(ended, handoff, stages)
        write_whole(self._folder / "console.txt", self._firmware.console.text)
        write_whole(self._folder / "run.json", made.to_json())
        return made

    def _judge(self, entry: dict[str, Any]) -> None:
        boot, inputs = self._request.boot, self._watcher.inputs
        given_ = given.collect(
            self._firmware, self._machine.ram, entry["entered_from"], inputs, from_disk=boot is not None
        )
        verdicts = judge(entry, self._machine.ram, given_)
        if self._firmware.launcher is not None:
            verdicts += launched.verdicts(self._firmware.launcher.conditions)
        write_whole(self._folder / VERDICTS, to_json(verdicts))

    def _let_go(self) -> None:
        """Leave what is the host's: a TPM, the disks."""
        self._disks.close()
        if self._swtpm is not None:
            self._swtpm.close()

    def _execute(self) -> tuple[report.Outcome, Stop | None]:
        began = time.perf_counter()
        warm_up()
        try:
            if self._refused is not None:
                raise self._refused
            self._firmware.dispatcher.start(self._program)
            blocks_between_looks = RECORDED_SLICE[self._recorder.name] if self._recorder else SLICE
            with self._noting_interrupts():
                stop = self._machine.run(self._request.max_blocks, self._poll, blocks_between_looks)
        except RunEnds as end:
            wide = None if end.status is None else status.name(end.status)
            return report.Outcome(kind=end.kind, status=wide, detail=end.detail), None  # type: ignore[arg-type]
        finally:
            self._emulation_s = time.perf_counter() - began - self._services_s
        if stop.kind == "fault":
            self._watcher.finding("fault", stop.detail)
        image = self._firmware.images.name_at(stop.pc)
        detail = stop.detail + (f" in {image}" if image and stop.kind == "fault" else "")
        outcome = report.Outcome(kind=stop.kind, status=None, detail=detail)  # type: ignore[arg-type]
        return outcome, stop if stop.kind == "kernel-entry" else None

    def _enter(self, address: int) -> None:
        """The CPU stands at a gate."""
        began = time.perf_counter()
        firmware = self._firmware
        gone = firmware.boot_services_exited
        try:
            firmware.dispatcher.enter(address)
            firmware.check_watchdog()
        finally:
            self._services_s += time.perf_counter() - began
        entry = None if firmware.launcher is None else firmware.launcher.entry
        if firmware.boot_services_exited and (not gone or entry is not None):
            self._watch_for_handoff(entry)
        if firmware.boot_services_exited and not gone and self._recorder is not None:
            self._recorder.exited()
        reason = self._out_of_time()
        if reason is not None:
            raise RunEnds("budget", None, reason)

    def _performed(self, performed: Performed) -> None:
        """The machine did something for a payload in user mode."""
        self._watcher.privileged(self._firmware.images.name_at(performed.pc), performed)

    def _asked(self, call: Call) -> None:
        """The guest called what is below the firmware."""
        self._watcher.asked(self._firmware.images.name_at(call.pc), call)

    def _watch_for_handoff(self, launched_at: int | None) -> None:
        """Boot services are gone: the next block outside all images that run or at a declared entry is its.

        *launched_at* is where a kernel begins that is being launched dynamically.
        """
        images = [each for each in self._firmware.images if each.started]
        by_guests = self._firmware.images.by_guests
        ranges = [*self._firmware.gates.ranges, *((each.base, each.end) for each in (*images, *by_guests))]
        files = [(each.base, each.file) for each in (*images, *by_guests) if each.file is not None]
        entries = [base + file.kernel_entry for base, file in files if file.kernel_entry is not None]
        entries += [] if launched_at is None else [launched_at]
        try:
            self._machine.arm(ranges, entries)
        except ValueError:
            raise RunEnds("fault", None, "more images are running than can be told from a kernel") from None

    def _poll(self) -> str | None:
        seconds = time.monotonic() - self._began
        if self._recorder is not None:
            self._recorder.relieve()
        self._progress(Progress(self._machine.monitor.blocks, self._firmware.dispatcher.call_count, seconds))
        return self._out_of_time()

    @contextmanager
    def _noting_interrupts(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM are noted until the next look: an exception could be raised in a callback, and be lost."""

        def note(_number: int, _frame: object) -> None:
            self._interrupted = True

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _out_of_time(self) -> str | None:
        if self._interrupted:
            self._host_decided = True
            return "interrupted"
        if time.monotonic() - self._began <= self._request.max_seconds:
            return None
        self._host_decided = True
        return f"it ran for {self._request.max_seconds:g} seconds"

    def _record(self) -> Recorder:
        watcher = self._watcher
        top = max(end for _, end in self._machine.ram.ranges)
        request = self._request
        recorder: Recorder
        if request.recorder == "native":
            keep = Keep(self._folder, *request.keep_calls) if request.keep else None
            rows = keep, request.most_rows, request.watched
            recorder = NativeRecorder(watcher.regions, lambda: watcher.gate, top, watcher, *rows)
        else:
            recorder = PythonRecorder(watcher.regions, lambda: watcher.gate, top, watcher)
        watcher.watch(recorder)
        self._machine.ram.touched = recorder.service_access
        return recorder

    def _code(self) -> Iterator[Code]:
        """The live regions with code that may be executed, and what is known of it."""
        images = [*self._firmware.images, *self._firmware.images.by_guests]
        for region in self._watcher.regions:
            if Access.EXECUTE not in region.access or region.kind == "firmware":
                continue
            image = next((each for each in images if each.base <= region.start < each.end), None)
            if image is None:
                yield Code(region, region.start, region.name or region.type)
            else:
                file = image.file if isinstance(image.file, LoadableImage) else None
                known = file.symbols if file else ()
                symbols = {image.base + offset: name for offset, name in known}
                entries = (self._firmware.abi.code_address(image.base + file.entry),) if file else ()
                yield Code(region, image.base, image.name, entries, symbols)

    def _why_not(self, error: EfiError) -> str:
        refused = self._watcher.findings.get("image-refused")
        if refused is not None:
            return refused.first
        return f"{self._request.payload.name} does not fit into the platform's memory ({error})"

    def _secure_boot(self) -> report.SecureBootReport:
        variables = self._firmware.variables
        decisions = [report.ImageDecision(**asdict(each)) for each in self._firmware.image_policy.decisions]
        mode = variables.mode.label
        return report.SecureBootReport(enabled=variables.secure_boot, mode=mode, images=decisions)  # type: ignore[arg-type]

    def _report(
        self, outcome: report.Outcome, handoff: report.Handoff, stages: list[report.StageReport]
    ) -> report.RunReport:
        request, machine, watcher = self._request, self._machine, self._watcher
        payload, info = request.payload, engine_info()
        summary: dict[str, Any] = self._recorder.summary() if self._recorder else {}
        digest = machine.ram.digest()
        return report.RunReport(
            payload=report.PayloadInfo(
                name=payload.name,
                sha256=payload.sha256,
                kind=payload.kind.value,
                machine=payload.machine.value,
                version=payload.version,
                size=payload.size,
            ),
            platform=report.PlatformInfo(name=request.platform.name, sha256=self._disks.platform.sha256),
            inputs=report.InputInfo(
                cmdline=request.cmdline,
                initrd_sha256=None if request.initrd is None else hashlib.sha256(request.initrd).hexdigest(),
                initrd_size=None if request.initrd is None else len(request.initrd),
                seed=request.seed,
                boot=request.boot.asked if request.boot is not None else None,
                unprivileged=request.unprivileged,
                stages=[each.name for each in request.stages],
            ),
            outcome=outcome,
            boot_services_exited=self._firmware.boot_services_exited,
            handoff=handoff,
            stages=stages,
            launch=launched.reported(self._firmware),
            chain=list(request.link.chain) if request.link is not None else [],
            kexec=request.link.kexec if request.link is not None else None,
            calls=report.Calls(
                count=self._firmware.dispatcher.call_count,
                by_name=dict(sorted(watcher.by_name.items())),
                unimplemented=dict(sorted(watcher.unimplemented.items())),
            ),
            accesses=report.Accesses(level=request.trace, **summary),  # type: ignore[arg-type]
            privileged=report.Privileged(
                count=watcher.privileged_by_name.total(), by_name=dict(sorted(watcher.privileged_by_name.items()))
            )
            if request.unprivileged
            else None,
            memory=report.MemoryInfo(
                ram_bytes=machine.ram.size,
                allocated_peak_bytes=self._firmware.memory_map.used_peak,
                digest=digest,
            ),
            findings=[
                report.Finding(kind=kind, first=noted.first, first_call=noted.first_call, count=noted.count)
                for kind, noted in sorted(watcher.findings.items())
            ],
            measurements=measurements.listed(watcher.measurements),
            secure_boot=self._secure_boot(),
            console=self._firmware.console.text,
            engine=report.EngineUse(
                unicorn=info.unicorn,
                patched=info.patched,
                recorder=self._recorder.name if self._recorder else "none",
                blocks=machine.monitor.blocks,
                # Nothing the guest can see comes from the host: models without randomness, virtual time, seeded bytes.
                # What Unicorn takes from the host's clock all the same is counted.
                deterministic=not self._host_decided and self._swtpm is None and not machine.monitor.host_reads,
            ),
            timing=report.Timing(
                wall_s=round(time.monotonic() - self._began, 6),
                emulation_s=round(self._emulation_s, 6),
                services_s=round(self._services_s, 6),
            ),
        )
