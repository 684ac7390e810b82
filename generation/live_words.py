"""Sentences that rows and streams hold in English, known to the translations, so that pages show them translated.

The engines know no Django and cannot mark their own texts; what is written here is what stands there, letter by letter.
"""

from django.utils.translation import gettext_noop

from i2v_site.sentences import Sentence

# What a video in the making says of itself; scripts show it as it comes in.
PROGRESS = (
    gettext_noop("Sending the picture"),
    gettext_noop("In line"),
    gettext_noop("Loading the model"),
    gettext_noop("Preparing the model"),
    gettext_noop("Rendering"),
    gettext_noop("Saving the video"),
    gettext_noop("Rendering at fal.ai"),
    gettext_noop("Sending the picture to fal.ai"),
    gettext_noop("Fetching the video from fal.ai"),
    gettext_noop("In line at fal.ai"),
    gettext_noop("fal.ai's answer was lost: looking for the request"),
    gettext_noop("fal.ai stopped answering; it is asked again."),
)
# Why a video failed, as an engine says it.
FAILURES = (
    gettext_noop("fal.ai did not take the request."),
    gettext_noop("fal.ai no longer has the video."),
    gettext_noop("fal.ai does not hand the video out."),
    gettext_noop("The video could not be fetched from fal.ai."),
    gettext_noop("fal.ai did not take the picture."),
    gettext_noop("fal.ai cannot be reached."),
    gettext_noop(
        "The connection to fal.ai broke while it took the request, and nothing shows what became of it. "
        "You are not charged."
    ),
    gettext_noop("fal.ai has forgotten the request."),
    gettext_noop("The fal.ai account has no credit left. An operator must add some."),
    gettext_noop("fal.ai does not accept our key. An operator must look at FAL_KEY."),
    gettext_noop("fal.ai takes no more requests right now."),
    gettext_noop("fal.ai does not know this model any more."),
    gettext_noop("The GPU ran out of memory. Choose fewer frames or a smaller size."),
    gettext_noop("The GPU server cannot be asked to stop."),
    gettext_noop("The GPU server cannot be reached."),
    gettext_noop("The GPU server could not download a file that the model needs."),
    gettext_noop("The GPU server could not read the picture."),
    gettext_noop("The GPU server could not save the video: its disk may be full."),
    gettext_noop("The GPU server does not have a LoRA of this model."),
    gettext_noop("The GPU server does not have this model."),
    gettext_noop("The GPU server ended without a video or a reason."),
    gettext_noop("The GPU server failed to load the model."),
    gettext_noop("The GPU server forgets its sessions at once."),
    gettext_noop("The GPU server has no running backend."),
    gettext_noop("The GPU server has no trace of the render."),
    gettext_noop("The GPU server is restarting."),
    gettext_noop("The GPU server is set not to save videos."),
    gettext_noop("The GPU server is still stopping the render."),
    gettext_noop("The GPU server made no video and did not say why."),
    gettext_noop("The GPU server no longer has the video."),
    gettext_noop("The GPU server refuses our credentials."),
    gettext_noop("The GPU server rendered with other LoRAs than the model needs."),
    gettext_noop("The GPU server stopped answering; it is asked again."),
    gettext_noop("The GPU server was busy with other work for too long."),
    gettext_noop("The address of the GPU server may not be called."),
    gettext_noop("The render broke at the GPU server; its log says why."),
    gettext_noop("The render was stopped at the GPU server."),
    gettext_noop("The session is not known."),
    gettext_noop("What answers at the GPU server's address is not SwarmUI."),
    gettext_noop("The process that rendered this preview has ended."),
    gettext_noop("The preview's file is gone."),
    gettext_noop("The motion preview stopped unexpectedly."),
    gettext_noop("The video is too large for the motion preview."),
    gettext_noop("The picture cannot be read."),
    gettext_noop("The video needs too much memory."),
    gettext_noop("The result is empty."),
    gettext_noop("The result is damaged or not an MP4 video."),
    gettext_noop("The video is damaged or cut off."),
    gettext_noop("The video is cut off."),
    gettext_noop("The video has no frames."),
    gettext_noop("The video has no usable frame rate."),
    gettext_noop("The video changes its size on the way."),
    gettext_noop("The result has no picture track."),
    gettext_noop("The video is neither H.264 nor H.265."),
    gettext_noop("fal.ai rewrote the prompt."),
)
# The same with what belongs to one case.
OF_ONE_CASE = (
    Sentence(gettext_noop("Number %(number)s in line")),
    Sentence(gettext_noop("Number %(number)s in line at fal.ai")),
    Sentence(gettext_noop("The GPU server refused or failed: %(why)s")),
    Sentence(gettext_noop("The GPU server reported: %(why)s")),
    Sentence(gettext_noop("The GPU server rendered with %(found)s instead of %(wanted)s.")),
    Sentence(gettext_noop("fal.ai could not make the video: %(why)s")),
    Sentence(gettext_noop("fal.ai refused: %(why)s")),
    Sentence(gettext_noop("The video is not at fal.ai: %(why)s")),
    Sentence(gettext_noop("fal.ai's answer holds no video: %(why)s")),
    Sentence(gettext_noop("Seed %(wanted)s was asked for; %(found)s was used.")),
    Sentence(gettext_noop("%(name)s %(wanted)s was asked for; %(found)s was used.")),
    Sentence(gettext_noop("The video is longer than %(frames)s frames or %(seconds)s s.")),
    Sentence(gettext_noop("The video is larger than %(pixels)s pixels a side.")),
)
# What the catalogue says of its models, as it was seeded; an operator may write something else.
CATALOGUE = (
    gettext_noop("Wan 2.2 I2V A14B with LightX2V: real motion in 4 steps, on a GPU."),
    gettext_noop("Moves the camera over the picture. It does not imagine motion; it needs no GPU."),
    gettext_noop("Wan 2.2 A14B in the cloud: the model of the GPU row with all its steps, at once."),
    gettext_noop("Wan 2.2 A14B distilled to a few steps, in the cloud: five seconds for one price."),
    gettext_noop("Fluid motion and exact prompts, 720p, 5 or 10 seconds. It takes no seed."),
    gettext_noop("Strong physics and faces, 768p or 512p, 6 or 10 seconds. It takes no seed."),
    gettext_noop("ByteDance's fast model: 480p to 1080p, 2 to 12 seconds; paid by the pixels of all frames."),
    gettext_noop("The newer Wan, 480p to 1080p, 5 or 10 seconds. It reads 800 characters of a prompt."),
    gettext_noop("Lightricks' open model: any size and length, paid by the pixels of all frames."),
)
