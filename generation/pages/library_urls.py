"""Finding, tagging, comparing and packing one's videos."""

from django.urls import path

from generation.pages import comparing, library, library_acts, library_tags, why

urlpatterns = [
    path("library", library.library, name="library"),
    path("library/act", library_acts.act, name="library_act"),
    path("library/zip", library_acts.pack, name="library_zip"),
    path("library/deleted", library_acts.deleted, name="library_deleted"),
    path("library/restore", library_acts.restore, name="library_restore"),
    path("library/tags", library_tags.tags, name="library_tags"),
    path("library/tags/<int:pk>/rename", library_tags.rename, name="library_tag_rename"),
    path("library/tags/<int:pk>/delete", library_tags.delete, name="library_tag_delete"),
    path("compare", comparing.compare, name="compare"),
    path("jobs/<uuid:pk>/card", library.card, name="job_card"),
    path("jobs/<uuid:pk>/favourite", library_acts.favourite, name="job_favourite"),
    path("jobs/<uuid:pk>/tags", library_acts.tag, name="job_tags"),
    path("jobs/<uuid:pk>/why", why.why, name="job_why"),
]
