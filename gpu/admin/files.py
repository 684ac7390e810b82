"""The operator's view of the files that machines fetch before they can work."""

from typing import TYPE_CHECKING

from django import forms
from django.contrib import admin

from gpu.models import ModelFile

if TYPE_CHECKING:
    # The stubs' classes take a parameter that Django's own do not.
    FileAdmin = admin.ModelAdmin[ModelFile]
    FileForm = forms.ModelForm[ModelFile]
else:
    FileAdmin, FileForm = admin.ModelAdmin, forms.ModelForm


class ModelFileForm(FileForm):
    class Meta:
        model = ModelFile
        fields = ["name", "folder", "r2_key", "size_bytes", "sha256", "needed_by"]

    def clean_sha256(self) -> str:
        digest = str(self.cleaned_data["sha256"]).strip().lower()
        if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            raise forms.ValidationError("64 hexadecimal digits, or nothing.")
        return digest

    def clean_needed_by(self) -> list[str]:
        slugs = self.cleaned_data["needed_by"] or []
        if not isinstance(slugs, list) or not all(isinstance(slug, str) for slug in slugs):
            raise forms.ValidationError('A list of slugs: ["wan-2-2"].')
        return slugs

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"])
        if "/" in name or name.startswith("."):
            raise forms.ValidationError("A file name, without a folder.")
        return name

    def clean_folder(self) -> str:
        folder = str(self.cleaned_data["folder"]).strip("/")
        if ".." in folder.split("/"):
            raise forms.ValidationError("A folder below SwarmUI's model root.")
        return folder


@admin.register(ModelFile)
class ModelFileAdmin(FileAdmin):
    form = ModelFileForm
    list_display = ["name", "folder", "size_bytes", "uploaded_at"]
    list_filter = ["folder", ("uploaded_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "r2_key", "=sha256"]
    readonly_fields = ["uploaded_at"]
