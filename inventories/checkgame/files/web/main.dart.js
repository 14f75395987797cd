// In place of what `flutter build web` makes: the pipeline puts its folder build/web here before a release.
document.title = "Check-Game";
