"""The camera words of a prompt, as moves of a camera. "Pan left" turns the camera left: the picture slides right."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum


class Axis(StrEnum):
    """What moves; a positive amount means closer, right, up, or clockwise."""

    ZOOM = "zoom"
    PAN = "pan"
    TILT = "tilt"
    TRUCK = "truck"
    PEDESTAL = "pedestal"
    ROLL = "roll"
    ORBIT = "orbit"
    SHAKE = "shake"


@dataclass(frozen=True, slots=True)
class Move:
    """One move. `amount` is signed, 1 is the usual one; `start` and `end` are shares of the video's length."""

    axis: Axis
    amount: float
    start: float = 0.0
    end: float = 1.0


DEFAULT = (Move(Axis.ZOOM, 0.8),)
STRONGEST = 3.0

_THEN = re.compile(r"\b(?:and\s+)?(?:then|followed by|after that|afterwards|finally)\b")
_CLAUSE = re.compile(r"[,.;:!?&+|\n()]|\s[-\u2013\u2014]\s|\b(?:and|while|with|as|plus|whilst|but)\b")
_SLOW = r"slow(?:ly)?|gentl[ey]|subtl[ey]|soft(?:ly)?|slight(?:ly)?|gradual(?:ly)?|calm(?:ly)?|leisurely|slow[- ]motion"
_FAST = r"fast|quick(?:ly)?|rapid(?:ly)?|swift(?:ly)?|sudden(?:ly)?|dramatic(?:ally)?|hard|strong(?:ly)?|crash|whip"
_SPEED = re.compile(rf"\b(?P<very>(?:very|extremely|super|really|ultra)\s+)*(?:(?P<slow>{_SLOW})|(?P<fast>{_FAST}))\b")
# Words between a verb and its direction that say nothing to a camera.
_FILLER = re.compile(r"\b(?:the|a|an|to|towards?|smooth(?:ly)?|cinematic(?:ally)?|further|very|in a|slow-?mo)\b")
_ALONE = re.compile(
    r"(?:(?:camera|movements?|motions?|moves?|moving|shots?|zooms?|speed|pace|all|everything|please)\s*)*$"
)
_NEGATED = re.compile(r"\b(?:no|not|never|without|avoid|don'?t|do not|doesn'?t|isn'?t|stops?)\b(?:\s+\S+){0,2}\s*$")
_STATIC = re.compile(
    r"\b(?:static|still|stationary|fixed|locked(?:[- ]?off|[- ]?down)?|motionless|tripod) (?:camera|shot|frame|view)\b"
    r"|\bcamera\s+(?:\w+\s+)?(?:static|still|stationary|fixed|locked|motionless|not move|doesn'?t move)\b"
    r"|\b(?:no|without|zero|any)\s+(?:camera\s+)?(?:movements?|motion)\b"
    r"|\block(?:ed)?[- ]?off\b|\bon tripod\b|\bhold still\b"
    r"|^\s*(?:static|still|stationary|motionless|tripod|hold|freeze|no camera)\s*$"
)
_BARE = re.compile(r"\s*(?P<way>left|right|up|down|in|out|upwards?|downwards?|clockwise|back)\s*$")

_LEFT, _RIGHT = r"(?:leftwards?|left)", r"(?:rightwards?|right)"
_UP, _DOWN = r"(?:upwards?|up)", r"(?:downwards?|down)"
_IN, _OUT = r"(?:in|into|forwards?|closer)", r"(?:out|back|away|backwards?)"
_CLOCKWISE, _COUNTER = r"clock-?wise", r"(?:counter|anti)[- ]?clock-?wise"
_CAMERA = r"(?: camera| shot| view| frame)?"
_GO = (
    r"(?:camera (?:slides?|moves?|glides?|drifts?|floats?|flies|travels?|goes|going|moving)"
    r"|move|slide|glide|strafe|drift)"
)
_MOVE = rf"(?:{_GO}|mov(?:es?|ing)|fl(?:y|ies|ying)|go(?:es|ing)?)"
_PAN = rf"(?:pan(?:s|ning|ned)?|camera (?:looks?|sweeps?|turns?)|sweep)(?: across| over|{_CAMERA})"
_TILT = rf"(?:tilt(?:s|ing|ed)?|pan(?:s|ning)?|camera looks?){_CAMERA}"
_TRUCK = (
    rf"(?:truck(?:s|ing)?|track(?:s|ing)?(?: shot)?|dolly|dollies|crab(?:s|bing)?|slid(?:es?|ing)|straf(?:es?|ing)"
    rf"|{_GO}){_CAMERA}"
)
_CRANE = rf"(?:pedestal|crane|jib|boom|elevator)(?:s|ing)?{_CAMERA}"
_ROLL = rf"(?:roll(?:s|ing)?|rotat(?:es?|ing|ion)|spin(?:s|ning)?|twist(?:s|ing)?|turn(?:s|ing)?){_CAMERA}"
_CAMERA_ROLL = r"(?:camera roll(?:s|ing)?|camera rotat(?:es?|ing)|^roll|^rotate)"
_ORBIT = (
    r"(?:orbit(?:s|ing)?|arc(?:s|ing)?|circl(?:es?|ing)|revolv(?:es?|ing)|turntable"
    r"|(?:rotat|spin|mov|swing)\w* around|360)(?:[- ]degrees?)?(?: shot| around| round| camera| view)*(?: \w+){0,2}?"
)

# A match takes its words from the later rows, so the more telling patterns come first.
_TABLE: tuple[tuple[str, Axis, float], ...] = (
    (rf"{_ORBIT} (?:{_LEFT}|{_CLOCKWISE})|{_CLOCKWISE} (?:orbit|arc)", Axis.ORBIT, -1),
    (rf"{_ORBIT} (?:{_RIGHT}|{_COUNTER})|{_COUNTER} (?:orbit|arc)", Axis.ORBIT, 1),
    (
        r"orbit(?:s|ing)?|arc shot|arcs? around|circl(?:es?|ing) around|revolv(?:es?|ing) around|turntable",
        Axis.ORBIT,
        1,
    ),
    (r"camera (?:rotat|spin|mov|swing|circl|arc)\w* around|rotat\w* around", Axis.ORBIT, 1),
    (r"360(?:[- ]degrees?)? (?:shot|view|around)", Axis.ORBIT, 1),
    (rf"{_ROLL} {_COUNTER}|{_COUNTER} {_ROLL}|{_CAMERA_ROLL} {_LEFT}", Axis.ROLL, -1),
    (rf"{_ROLL} {_CLOCKWISE}|{_CLOCKWISE} {_ROLL}|{_CAMERA_ROLL} {_RIGHT}", Axis.ROLL, 1),
    (
        r"camera (?:roll|rotat|spin|twist)\w*|(?:roll|rotate|spin) camera|barrel roll|dutch (?:angle|tilt|roll)",
        Axis.ROLL,
        1,
    ),
    (rf"zoom(?:s|ing|ed)?(?: camera)?[- ]?{_OUT}|pull(?:s|ing)?(?: camera)?[- ]?{_OUT}", Axis.ZOOM, -1),
    (rf"dolly(?:ing)?(?: camera)?[- ]?{_OUT}|(?:{_MOVE}|back(?:s|ing)?) {_OUT}", Axis.ZOOM, -1),
    (r"dolly zoom|vertigo(?: effect| shot)?", Axis.ZOOM, 1.4),
    (rf"push(?:es|ing)?(?: camera)?[- ]?{_IN}|dolly(?:ing)?(?: camera)?[- ]?{_IN}", Axis.ZOOM, 1),
    (rf"(?:{_MOVE}|get(?:s|ting)?|clos(?:es?|ing)|com(?:es?|ing)) (?:{_IN}|through)", Axis.ZOOM, 1),
    (r"drone shot|aerial shot|fly-?over|fl(?:y|ying|ies) over", Axis.ZOOM, 0.8),
    (r"ken burns(?: effect)?", Axis.ZOOM, 1),
    (rf"{_CRANE} {_DOWN}|camera (?:descend|sink|lower|fall|drop)\w*|{_GO} {_DOWN}", Axis.PEDESTAL, -1),
    (rf"{_CRANE} {_UP}|crane shot|camera (?:rise|rising|ascend|lift|climb)\w*|{_GO} {_UP}", Axis.PEDESTAL, 1),
    (rf"{_TILT} (?:from )?(?:{_DOWN} )?{_UP}(?! {_DOWN})", Axis.TILT, 1),
    (rf"{_TILT} (?:from )?(?:{_UP} )?{_DOWN}", Axis.TILT, -1),
    (rf"{_PAN} (?:from )?(?:{_LEFT} )?{_RIGHT}(?! {_LEFT})|{_RIGHT} pan", Axis.PAN, 1),
    (rf"{_PAN} (?:from )?(?:{_RIGHT} )?{_LEFT}|{_LEFT} pan", Axis.PAN, -1),
    (rf"{_TRUCK} (?:from )?(?:{_LEFT} )?{_RIGHT}(?! {_LEFT})", Axis.TRUCK, 1),
    (rf"{_TRUCK} (?:from )?(?:{_RIGHT} )?{_LEFT}", Axis.TRUCK, -1),
    (r"tracking shot|trucking shot", Axis.TRUCK, 1),
    (r"camera pan(?:s|ning)?|pan(?:s|ning)? (?:across|over|camera|shot)|panning|panoramic shot|^pan$", Axis.PAN, 1),
    (r"camera tilt(?:s|ing)?|^tilt$", Axis.TILT, 1),
    (r"zoom(?:s|ing)?(?! (?:by|past|off|call|lens|around))|^dolly(?: shot)?$", Axis.ZOOM, 1),
    (r"hand-? ?held", Axis.SHAKE, 1),
    (r"shak(?:y|es?|ing)|jitter(?:y|s|ing)?|wobbl(?:y|es?|ing)|bumpy|trembl(?:es?|ing)", Axis.SHAKE, 1.7),
    (r"earthquake", Axis.SHAKE, 2.6),
)
_RULES = tuple((re.compile(rf"\b(?:{text})\b"), Move(axis, amount)) for text, axis, amount in _TABLE)


def parse(prompt: str) -> tuple[Move, ...]:
    """The moves that `prompt` asks for; a slow push in when it says nothing of a camera, () for a camera at rest."""
    steps = [_step(text) for text in _THEN.split(prompt.lower().replace("\u2019", "'"))]
    # "a cat sits on a wall, then zoom in": the first part is no move and takes no time.
    asked = [moves for moves in steps if moves is not None]
    if not asked:
        return DEFAULT
    share = 1 / len(asked)
    return tuple(
        replace(move, start=(i + move.start) * share, end=(i + move.end) * share)
        for i, moves in enumerate(asked)
        for move in moves
    )


def _step(text: str) -> tuple[Move, ...] | None:
    """The moves of one step of a sequence, all at once; () means rest, None that it does not speak of a camera."""
    found: list[Move] = []
    everywhere, last_verb, at_rest = 1.0, "", False
    for clause in _CLAUSE.split(text):
        plain, speed = _without_speed(clause)
        if _STATIC.search(plain):
            at_rest = True
            continue
        if (bare := _BARE.match(plain)) and last_verb:
            plain = f"{last_verb} {bare['way']}"
        wanted, refused = _matches(plain)
        at_rest |= refused
        if wanted:
            found += [replace(move, amount=_bounded(move.amount * speed)) for move, _ in wanted]
            last_verb = wanted[-1][1]
        elif speed != 1 and _ALONE.match(plain.strip()):
            everywhere *= speed
    if not found:
        return () if at_rest else None if everywhere == 1 else (Move(Axis.ZOOM, _bounded(everywhere)),)
    return _in_turn([replace(move, amount=_bounded(move.amount * everywhere)) for move in found])


def _without_speed(clause: str) -> tuple[str, float]:
    speed = 1.0
    for word in _SPEED.finditer(clause):
        factor = 0.5 if word["slow"] else 1.8
        speed *= factor * (0.6 if word["slow"] else 1.4) if word["very"] else factor
    plain = _FILLER.sub(" ", _SPEED.sub(" ", clause))
    return " ".join(plain.split()), speed


def _matches(clause: str) -> tuple[list[tuple[Move, str]], bool]:
    """Each move with its verb; and whether a move was spoken of only to forbid it."""
    wanted: list[tuple[Move, str]] = []
    taken: list[tuple[int, int]] = []
    refused = False
    for pattern, move in _RULES:
        for match in pattern.finditer(clause):
            start, end = match.span()
            if any(start < b and a < end for a, b in taken):
                continue
            taken.append((start, end))
            if not _NEGATED.search(clause[:start]):
                wanted.append((move, match[0].split()[0]))
            elif move.axis != Axis.SHAKE:
                refused = True
    return wanted, refused


def _bounded(amount: float) -> float:
    return max(-STRONGEST, min(STRONGEST, amount))


def _in_turn(moves: list[Move]) -> tuple[Move, ...]:
    """Opposite moves on one axis ("zoom in and out") follow each other instead of cancelling out."""
    placed: list[Move] = []
    for axis in dict.fromkeys(move.axis for move in moves):
        same = [move for move in moves if move.axis == axis]
        if len({move.amount > 0 for move in same}) == 1:
            strongest = max(same, key=lambda move: abs(move.amount))
            placed.append(strongest)
            continue
        share = 1 / len(same)
        placed += [replace(move, start=i * share, end=(i + 1) * share) for i, move in enumerate(same)]
    return tuple(placed)
