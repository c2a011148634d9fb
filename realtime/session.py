"""One run of the filter: everything is opened in order, the loop runs, everything is closed.

Comes in: command-line words. Goes out: an exit code. Runs on the main thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from engines.assets import perception_files
from engines.openvino_cpu import LandmarkNetwork
from engines.openvino_faces import FaceDetector
from realtime.card import card
from realtime.compose import Compose, PassThrough, read_background
from realtime.controls import Controls
from realtime.cores import allowed_cores
from realtime.errors import EngineError, SinkError, UsageError
from realtime.filter import Filter
from realtime.folder import convert_folder
from realtime.governor import Governed, Governor, Paced
from realtime.hold import Hold
from realtime.idle import Idle
from realtime.ink import Ink
from realtime.keys import HELP, Keys
from realtime.listing import list_what
from realtime.look_ahead import Coming
from realtime.loop import Stop, run_loop
from realtime.open_style import Opened, OpenStyle, TwoStyles, open_look
from realtime.perceive import Perceiver
from realtime.profile import profile_name, profile_path, write_profile
from realtime.profile_watch import ProfileWatch
from realtime.read_ahead import ReadAhead
from realtime.redraw import Effort
from realtime.remote import Remote, read_token, token_path
from realtime.secrets import without_secrets
from realtime.settings import (
    STREAMED_TO,
    Background,
    Look,
    Pace,
    Settings,
    explained_options,
    given_options,
    settings_from_arguments,
)
from realtime.sinks import open_recording, open_sinks, open_virtual_cameras
from realtime.sinks.picture import SETTLED_S, is_one_picture, write_picture
from realtime.sinks.preview import Preview
from realtime.sinks.recorder import Recorder
from realtime.sinks.virtualcam import anybody_watches
from realtime.source import LastingSource, open_lasting_source
from realtime.stats import Stats, audio_advice, stats_line, write_stats
from realtime.steady import Steady
from realtime.style_loader import StyleLoader, Wish
from realtime.styles import PASS_THROUGH, Style, list_styles, load_style
from realtime.trace import Trace
from realtime.types import Frame, Picture

T = TypeVar("T")
Say = Callable[[str], None]
LOOKED_AHEAD = 2  # frames of a clip: rooms and faces are not drawn in each, so that some are more work
LIVE_SINKS = ("preview", "virtualcam", *STREAMED_TO)


def run(arguments: Sequence[str], say: Say) -> int:
    """Does what the command line asks; raises `LiveToonError` for what the user must act on."""
    settings = settings_from_arguments(arguments)
    if settings.list_what is not None:
        return list_what(settings.list_what, settings.as_json, say)
    style = None if settings.look.style == PASS_THROUGH else load_style(settings.look.style)
    _check_look(settings.look, settings)
    if settings.gallery is not None:
        from realtime.gallery import run_gallery  # as rare as calibrating

        return run_gallery(settings, say)
    if settings.calibrate:
        from calibration.person import run_calibration  # calibrating is the rare case

        return run_calibration(settings, say)
    if settings.save_profile is not None:
        path = profile_path(settings.save_profile)
        options = given_options(arguments)
        write_profile(path, person=settings.person, options=options, explained=explained_options())
        say(f"Profile {path}; use it with python run.py --profile {profile_name(path)}")
        return 0
    if settings.folder:
        return _convert_folder(settings, style, say)
    read = partial(settings_from_arguments, arguments)
    unlimited = settings.frames is None and settings.seconds is None
    if unlimited and settings.sinks and all(is_one_picture(sink) for sink in settings.sinks):
        settings = replace(settings, seconds=SETTLED_S)  # the run is over when its picture is
    return _run_filter(settings, style, Stop(settings.frames, settings.seconds), say, read)


def _convert_folder(settings: Settings, style: Style | None, say: Say) -> int:
    assert settings.source is not None
    said: set[str] = set()

    def convert(file: Path, out: Path) -> bool:
        def say_of_file(line: str) -> None:
            """What all files have in common is said once, and what is usual of each not at all."""
            if file.name in line and not line.startswith(("Source: ", "Sinks: ")):
                say(line)
            elif line.startswith("Engine ") and line.split(":")[0] not in said:
                said.add(line.split(":")[0])
                say(line)

        stop = Stop(settings.frames, settings.seconds)
        _run_filter(replace(settings, source=str(file), sinks=(str(out),)), style, stop, say_of_file)
        return not stop.asked

    return convert_folder(Path(settings.source), Path(settings.sinks[0]), convert, say)


def _run_filter(
    settings: Settings, style: Style | None, stop: Stop, say: Say, read: Callable[[], Settings] | None = None
) -> int:
    """read: reads the settings anew, with a profile that was saved meanwhile."""
    trace = None if settings.trace is None else Trace()
    stats = Stats(trace=trace)
    look = settings.look if style is None else replace(settings.look, style=style.name)
    controls = Controls(look, mirror=bool(settings.mirror), quit_=stop.ask, say=say)
    controls.check = partial(_check_look, settings=settings)
    keys = Keys(controls, say)
    recorder: Recorder | None = None
    loader: StyleLoader | None = None

    preview: Preview | None = None
    engine_name, precision = "none", "none"

    def status() -> tuple[str, str]:
        loading = f"  {loader.state}" if loader is not None and loader.state else ""
        recording = f"  {recorder.status}" if recorder is not None and recorder.status else ""
        return controls.status + loading + recording, f"{stats.recent()}   {engine_name} {precision}"

    def figures() -> dict[str, object]:
        return stats.now() | {"engine": engine_name, "precision": precision}

    with ExitStack() as opened:
        if settings.remote is not None:
            opened.enter_context(Remote(settings.remote, read_token(), controls, figures))
            say(f"Remote control: http://127.0.0.1:{settings.remote}, its token is in {token_path()}")
        virtual_cameras = open_virtual_cameras(settings.sinks, settings.size, settings.fps, say)
        written = [opened.enter_context(c) for c in virtual_cameras.values() if not isinstance(c, SinkError)]
        idle = Idle(partial(anybody_watches, written), say)
        source = opened.enter_context(
            open_lasting_source(
                settings.source,
                size=settings.size,
                fps=settings.fps,
                pace=_pace(settings),
                say=say,
                play=settings.play,
                sinks=[camera.device for camera in written if camera.device is not None],
                rests=idle,
            )
        )
        say(f"Source: {source.name}")
        microphone = None
        if settings.microphone is not None:
            from realtime.sinks.microphone import Microphone

            microphone = opened.enter_context(Microphone(settings.microphone))

        def open_preview() -> Preview:
            nonlocal preview
            preview = Preview(
                source.size,
                status=status,
                on_key=keys,
                mirrored=source.live and source.clip is None and settings.mirror is None,
                say=say,
                is_mirrored=lambda: controls.mirror,
                help_=HELP,
            )
            return preview

        sinks = opened.enter_context(
            open_sinks(
                settings.sinks,
                virtual_cameras=virtual_cameras,
                size=source.size,
                fps=source.fps,
                clip=source.clip,
                microphone=microphone,
                live=source.live,
                frame_count=_expected_frames(settings, source),
                say=say,
                open_preview=open_preview,
            )
        )
        say(f"Sinks: {', '.join(sinks.names)}")
        if settings.frames is None:
            idle.wanted = lambda: sinks.names != tuple(camera.name for camera in written)
        size, fps, clip = source.size, source.fps, source.clip
        recorder = Recorder(sinks, lambda path: open_recording(path, size, fps, clip, microphone, say), say)
        controls.on_record, controls.recording = recorder.toggle, lambda: recorder is not None and recorder.recording
        depth = 1 if source.live else LOOKED_AHEAD
        governor = Governor(say, live=source.live, share=settings.max_cpu, cores=allowed_cores())
        ahead = opened.enter_context(ReadAhead(Paced(source, governor), depth))
        hold: Hold | None = None
        if style is None:
            say("Style none: the camera's own picture passes through, undrawn.")
            passing = PassThrough(bool(settings.mirror))
            controls.on_mirror = partial(setattr, passing, "mirror")
            draw: Callable[[Frame], Picture] = stats.timed("compose", passing)
        else:
            if settings.only != "all":
                say(f"Only the {settings.only} is drawn: the rest of the picture is the camera's own.")

            def opens(wish: Wish, say: Say = lambda _: None) -> OpenStyle | TwoStyles:
                return open_look(wish.look, wish.style, size, settings.engine, say, governor.effort)

            first = Wish(settings.look, style)
            stylize = opens(first, say)
            engine_name, precision = stylize.name, stylize.precision
            loader = StyleLoader(opens, first, say)

            open_filter = partial(_open_filter, settings, stats, loader, Coming(ahead.peek, depth), governor.effort)
            hold = holding = Hold(open_filter(stylize), lambda: open_filter(opens(loader.last)), say, live=source.live)
            draw = Governed(hold, lambda: holding.busy_s, governor)
            opened.callback(hold.close)
            controls.on_mirror, controls.on_look = hold.mirror, hold.show
            others = [s for s in list_styles(say) if s.name != style.name]
            controls.styles = tuple(sorted([style, *others], key=lambda s: s.name))

        if read is not None and settings.profile is not None and source.live:
            opened.enter_context(ProfileWatch(settings.profile, settings, read, controls, say))

        def picture_of(frame: Frame) -> Picture:
            if preview is not None and not controls.paused:
                preview.photo(frame)  # the one way of a raw frame to a screen, and only of this user
            picture = card("Paused", frame.size, frame) if controls.paused else draw(frame)
            if (path := controls.take_snapshot()) is not None:
                _save(picture, path, say)
            return picture

        def summary() -> dict[str, object]:
            figures = stats.summary(
                style=settings.look.style,
                engine=engine_name,
                precision=precision,
                size=source.size,
                source=without_secrets(settings.source or source.name),
                held_frames=0 if hold is None else hold.frames,
            )
            return figures | {"given_up": governor.given_up}

        try:
            with stop.on_signals():
                run_loop(ahead, picture_of, stats.timed("deliver", sinks.send), stats, stop, controls.apply)
                ahead.close()  # first: a source that is still read may come back when nobody watches any more
                sinks.close()
        finally:
            if trace is not None and settings.trace is not None:
                trace.write(settings.trace)
            if settings.stats is not None:
                write_stats(settings.stats, summary())
            say(stats_line(summary()))
            advice = audio_advice(stats.audio_offset_ms())
            if advice and source.live and source.clip is None and _goes_to_programs(settings.sinks):
                say(advice)
    return 0


def _open_filter(
    settings: Settings, stats: Stats, loader: StyleLoader, coming: Coming, effort: Effort, stylize: Opened
) -> Filter:
    """The filter that draws with `stylize`, which it closes."""
    look, style = loader.last.look, loader.last.style
    face_model, wide, square = perception_files()
    with ExitStack() as failed, ExitStack() as opened:
        failed.callback(stylize.close)
        network, detector = _if_it_opens(LandmarkNetwork, face_model), _if_it_opens(FaceDetector, face_model)
        perceive = opened.enter_context(Perceiver(face_model, wide, square, network=network, detector=detector))
        ink = Ink(style.touch_up, look.expression, settings.person)
        compose = Compose(look.background, bool(settings.mirror), settings.only)
        steady = Steady(look.steadiness)
        drawing = Filter(perceive, steady, stylize, ink, compose, stats, opened.pop_all(), loader, coming, effort)
        failed.pop_all()
    drawing.show(look, style)
    return drawing


def _if_it_opens(network: Callable[[Path], T], face_model: Path) -> T | None:
    try:
        return network(face_model)
    except (ImportError, EngineError):  # MediaPipe then does it all, which gives the same
        return None


def _pace(settings: Settings) -> Pace | None:
    """A clip that is shown is played; a clip that is converted is not hurried. None leaves it to the source."""
    if settings.pace is not None:
        return settings.pace
    shown = not settings.sinks or any(sink.startswith(LIVE_SINKS) for sink in settings.sinks)
    return Pace.LIVE if shown else None


def _goes_to_programs(sinks: Sequence[str]) -> bool:
    """Whether another program shows the pictures, and has the sound from elsewhere."""
    return not sinks or any(sink.startswith(("preview", "virtualcam")) for sink in sinks)


def _expected_frames(settings: Settings, source: LastingSource) -> int | None:
    """How many frames the run will take, for the progress bar; None while unknown."""
    limits = [source.frame_count, settings.frames]
    if settings.seconds is not None and source.frame_count is not None:
        limits.append(round(settings.seconds * source.fps))
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _check_look(look: Look, settings: Settings) -> None:
    """Refuses a look that cannot be shown, or not with the rest of the settings."""
    background: Background = look.background
    if background.kind == "image":
        read_background(background)
    with_alpha = any(Path(sink).suffix.lower() == ".png" for sink in settings.sinks)
    if background.kind == "transparent" and not with_alpha:
        raise UsageError("--background transparent needs a sink that carries alpha: --sink frames/%05d.png or out.png.")
    if settings.only != "all" and background.kind != "style":
        raise UsageError(
            f"--only {settings.only} shows the camera's own picture beside the drawing; it needs --background style."
        )
    if look.style == PASS_THROUGH and (settings.only != "all" or look != Look(style=PASS_THROUGH)):
        raise UsageError(
            "Style none is the camera's own picture; --strength, --expression, --background, --only need another style."
        )


def _save(picture: Picture, path: Path, say: Say) -> None:
    try:
        write_picture(picture, path)
    except SinkError as error:  # a snapshot that fails must not end the show
        say(f"No snapshot: {error}")
    else:
        say(f"Snapshot: {path.absolute()}")
